//! The shape of the config file. A field that is not here is refused by name and line; what the values mean is checked where they
//! are used.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use serde::{Deserialize, Deserializer, de::Error};

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) name: Option<String>,
    pub(super) shutdown_grace: Option<Length>,
    /// Name to how many at once.
    #[serde(default)]
    pub(super) queues: BTreeMap<String, usize>,
    #[serde(default)]
    pub(super) kinds: BTreeMap<String, Kind>,
}

/// One kind: with `command` or with `url`. One struct and not an enum of two, because serde would answer a misspelled field with
/// "did not match any variant".
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Kind {
    pub(super) timeout: Option<Length>,
    pub(super) revision: Option<u16>,
    pub(super) keep_completed: Option<bool>,

    pub(super) command: Option<Vec<String>>,
    pub(super) cwd: Option<PathBuf>,
    pub(super) env: Option<BTreeMap<String, String>>,
    pub(super) pass_env: Option<Vec<String>>,
    pub(super) memory_mb: Option<u64>,
    pub(super) kill_grace: Option<Length>,

    pub(super) url: Option<String>,
    pub(super) secret_env: Option<String>,
    pub(super) allow_private: Option<bool>,
}

impl Kind {
    /// The first field given that only kinds with `command` have.
    pub(super) fn of_programs(&self) -> Option<&'static str> {
        [
            ("cwd", self.cwd.is_some()),
            ("env", self.env.is_some()),
            ("pass_env", self.pass_env.is_some()),
            ("memory_mb", self.memory_mb.is_some()),
            ("kill_grace", self.kill_grace.is_some()),
        ]
        .into_iter()
        .find_map(|(name, given)| given.then_some(name))
    }

    /// The first field given that only kinds with `url` have.
    pub(super) fn of_endpoints(&self) -> Option<&'static str> {
        [("secret_env", self.secret_env.is_some()), ("allow_private", self.allow_private.is_some())]
            .into_iter()
            .find_map(|(name, given)| given.then_some(name))
    }
}

/// A length of time as people write it: `"90s"`, `"5m"`, `"1h30m"`. More than zero.
#[derive(Debug, Clone, Copy)]
pub(super) struct Length(pub(super) Duration);

impl<'de> Deserialize<'de> for Length {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let refused = |problem: &str| D::Error::custom(format!("the time \"{}\" {problem}", text.escape_debug()));
        let length = humantime::parse_duration(&text)
            .map_err(|_| refused("is not valid: give a number with a unit, such as \"90s\", \"5m\" or \"1h30m\""))?;
        if length < Duration::from_millis(1) {
            return Err(refused("is too short: give at least \"1ms\""));
        }
        Ok(Self(length))
    }
}
