//! Who asks.

use std::convert::Infallible;

use axum::{extract::FromRequestParts, http::request::Parts};
use haulage_queue::Operator;

use super::{Action, Refusal, Role};
use crate::{app::App, auth::Identity};

/// Who asks, and what they may do here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Actor {
    /// As the audit has it; `None`: nobody said who it is.
    pub(crate) name: Option<String>,
    /// What they may do.
    pub(crate) role: Role,
    /// Whether this dashboard only reads, whoever asks.
    pub(crate) read_only: bool,
}

/// Who is logged in, as an [`Auth`](crate::Auth) or the application has put it among the request's extensions. Without that it is
/// somebody without a name, who may only look: nobody could be held to what they did.
impl FromRequestParts<App> for Actor {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Infallible> {
        let identity = parts.extensions.get::<Identity>();
        Ok(Self {
            name: identity.map(|identity| identity.name.clone()),
            role: identity.map_or(Role::Viewer, |identity| identity.role),
            read_only: app.read_only,
        })
    }
}

impl Actor {
    /// Whether they may do what needs this role.
    pub(crate) fn may(&self, needs: Role) -> bool {
        !self.read_only && self.name.is_some() && self.role >= needs
    }

    /// Whether there is anything that they may do.
    pub(crate) fn acts(&self) -> bool {
        self.may(Role::Operator)
    }

    /// Refuses who may not do it.
    pub(crate) fn check(&self, action: &Action) -> Result<(), Refusal> {
        self.check_role(action.needs())
    }

    /// Refuses who may not do what needs this role.
    pub(crate) fn check_role(&self, needs: Role) -> Result<(), Refusal> {
        if self.may(needs) {
            return Ok(());
        }
        Err(match (self.read_only, &self.name) {
            (true, _) => Refusal::ReadOnly,
            (_, None) => Refusal::Nameless,
            _ => Refusal::Role { has: self.role, needs },
        })
    }

    /// For the audit.
    pub(crate) fn operator(&self, reason: Option<&str>) -> Operator {
        let operator = Operator::new(self.name.as_deref().unwrap_or_default());
        match reason.map(str::trim).filter(|reason| !reason.is_empty()) {
            Some(reason) => operator.because(reason),
            None => operator,
        }
    }
}
