//! Things to press. One that can be taken back acts at once; what can't, or what is large, leads to a page that shows what would happen.

use haulage_queue::Verb;

use crate::{
    actions::Action,
    form::Form,
    frame::Frame,
    show::{hides, mask},
};

/// A button, or a link to the page that asks first.
#[derive(Debug, Clone)]
pub(crate) struct Button {
    pub(crate) label: String,
    form: Form,
    pub(crate) asks: bool,
    /// The one to press first.
    pub(crate) first: bool,
    pub(crate) danger: bool,
}

impl Button {
    /// `None`: whoever is here may not do it, or a name in it is not what a form could send back: it holds a secret, which no page
    /// shows, or characters that can't be seen, which pages show as others.
    pub(crate) fn new(frame: &Frame, action: &Action, label: impl Into<String>) -> Option<Self> {
        let form = Form { here: frame.here.clone(), ..Form::of(action) };
        let is_told = form.fields().iter().all(|(name, value)| *name == "here" || (mask(value) == *value && !value.chars().any(hides)));
        (is_told && frame.actor.may(action.needs())).then(|| Self {
            label: label.into(),
            form,
            asks: asks(action),
            first: false,
            danger: is_final(action),
        })
    }

    /// It needs a choice or a reason, so it asks whatever it does.
    pub(crate) fn asking(self) -> Self {
        Self { asks: true, ..self }
    }

    pub(crate) fn first(self) -> Self {
        Self { first: true, ..self }
    }

    /// What it says when it is pressed. The form that it belongs to stands outside of what all readers of a page share, and has the token.
    pub(crate) fn query(&self) -> String {
        self.form.query()
    }

    pub(crate) fn link(&self) -> String {
        self.form.link()
    }
}

/// What it does is shown first.
fn asks(action: &Action) -> bool {
    matches!(action, Action::Job { verb: Verb::Cancel | Verb::Discard | Verb::Delete, .. })
        || matches!(
            action,
            Action::EditArgs { .. }
                | Action::Jobs { .. }
                | Action::PauseQueue { .. }
                | Action::QuietWorker { .. }
                | Action::PauseSchedule { .. }
                | Action::LimitQueue { .. }
                | Action::LimitKey { .. }
                | Action::EndSession { .. }
        )
}

/// Nothing brings it back.
pub(crate) fn is_final(action: &Action) -> bool {
    matches!(action, Action::Job { verb: Verb::Delete, .. } | Action::Jobs { verb: Verb::Delete, .. } | Action::EndSession { .. })
}
