//! The options that say who acts and why.

use anyhow::Context;
use haulage::Operator;

/// Who acts, and why: both stand in the audit.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct By {
    /// Why, for people: it stands in the audit, and as the error of jobs that are cancelled or discarded
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    reason: Option<String>,

    #[command(flatten)]
    who: Who,
}

/// Who acts, where the reason is an option of its own.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Who {
    /// Who acts, for the audit
    #[arg(id = "who", long = "as", value_name = "NAME", env = "USER", hide_env_values = true)]
    name: Option<String>,
}

impl By {
    pub(crate) fn operator(self) -> anyhow::Result<Operator> {
        let operator = self.who.operator()?;
        Ok(match self.reason {
            Some(reason) => operator.because(reason),
            None => operator,
        })
    }
}

impl Who {
    pub(crate) fn operator(self) -> anyhow::Result<Operator> {
        let name = self.name.filter(|name| !name.is_empty()).context("who acts? pass --as NAME, or set USER; it stands in the audit")?;
        Ok(Operator::new(name))
    }
}

/// A reason says something.
pub(crate) fn reason(text: &str) -> Result<String, String> {
    if text.trim().is_empty() { Err("it is empty: say why, for whoever reads it later".to_owned()) } else { Ok(text.to_owned()) }
}
