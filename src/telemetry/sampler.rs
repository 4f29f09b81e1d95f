//! Which traces are recorded.

use opentelemetry::{
    Context, KeyValue,
    trace::{Link, SpanKind, TraceContextExt, TraceId, TraceState},
};
use opentelemetry_sdk::trace::{Sampler, SamplingDecision, SamplingResult, ShouldSample};

use super::{InitError, exporters::variable};

/// A root with a link keeps the decision of what it is linked to; a root without one is decided by a ratio. Without it a journey that
/// goes on in a new trace after the queue, as jobs scheduled for later do, would be recorded in pieces: its parts by different dice.
///
/// [`init`](super::init) uses it. For a setup of your own it belongs inside `Sampler::ParentBased`.
#[derive(Debug, Clone)]
pub struct FollowLinks {
    root: Sampler,
}

impl FollowLinks {
    /// Roots without a link are recorded at this ratio, 0 to 1.
    pub fn ratio(ratio: f64) -> Self {
        Self { root: Sampler::TraceIdRatioBased(ratio) }
    }
}

impl ShouldSample for FollowLinks {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace: TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        let is_root = parent.is_none_or(|parent| !parent.span().span_context().is_valid());
        let mut linked = links.iter().filter(|link| link.span_context.is_valid()).peekable();
        if is_root && linked.peek().is_some() {
            let sampled = linked.any(|link| link.span_context.is_sampled());
            let decision = if sampled { SamplingDecision::RecordAndSample } else { SamplingDecision::Drop };
            return SamplingResult { decision, attributes: Vec::new(), trace_state: TraceState::default() };
        }
        self.root.should_sample(parent, trace, name, kind, attributes, links)
    }
}

/// What a sampler will do with a span that is not made yet, as far as it is certain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Foretold {
    /// What has a parent or a link goes by that.
    follows: bool,
    /// What goes by nothing is never recorded.
    never: bool,
}

impl Foretold {
    /// Whether nobody records a span whose parent, and whose links, are sampled or not.
    pub(super) fn never_recorded(self, parent: Option<bool>, linked: Option<bool>) -> bool {
        match parent.or(linked) {
            Some(sampled) if self.follows => !sampled,
            _ => self.never,
        }
    }
}

/// As `OTEL_TRACES_SAMPLER` says. With nowhere to send, only what somebody else has sampled keeps its mark.
pub(super) fn from_variables(sends: bool) -> Result<(Sampler, Foretold), InitError> {
    const NAME: &str = "OTEL_TRACES_SAMPLER";
    const ARG: &str = "OTEL_TRACES_SAMPLER_ARG";
    let never = |root: &Sampler| matches!(root, Sampler::AlwaysOff) || matches!(root, Sampler::TraceIdRatioBased(ratio) if *ratio <= 0.0);
    let plain = |root: Sampler| {
        let foretold = Foretold { follows: false, never: never(&root) };
        (root, foretold)
    };
    let followed = |root: Sampler| {
        let foretold = Foretold { follows: true, never: never(&root) };
        (Sampler::ParentBased(Box::new(FollowLinks { root })), foretold)
    };
    if !sends {
        return Ok(followed(Sampler::AlwaysOff));
    }
    let ratio = || match variable(ARG) {
        None => Ok(1.0),
        Some(value) => value.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio)).ok_or(InitError::Variable {
            variable: ARG,
            value,
            allowed: "a number from 0 to 1",
        }),
    };
    Ok(match variable(NAME).as_deref() {
        None | Some("parentbased_always_on") => followed(Sampler::AlwaysOn),
        Some("parentbased_always_off") => followed(Sampler::AlwaysOff),
        Some("parentbased_traceidratio") => followed(Sampler::TraceIdRatioBased(ratio()?)),
        Some("always_on") => plain(Sampler::AlwaysOn),
        Some("always_off") => plain(Sampler::AlwaysOff),
        Some("traceidratio") => plain(Sampler::TraceIdRatioBased(ratio()?)),
        Some(value) => {
            return Err(InitError::Variable {
                variable: NAME,
                value: value.to_owned(),
                allowed: "always_on, always_off or traceidratio, or one of them after \"parentbased_\"",
            });
        }
    })
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::{SpanContext, SpanId, TraceFlags};

    use super::*;

    #[test]
    fn a_root_with_a_link_keeps_the_decision_of_what_it_is_linked_to() {
        let link =
            |flags| Link::with_context(SpanContext::new(TraceId::from(1_u128), SpanId::from(1_u64), flags, true, TraceState::default()));
        let sampled = |ratio: f64, links: &[Link]| {
            let sampler = Sampler::ParentBased(Box::new(FollowLinks::ratio(ratio)));
            let result = sampler.should_sample(Some(&Context::new()), TraceId::from(7_u128), "process", &SpanKind::Consumer, &[], links);
            result.decision == SamplingDecision::RecordAndSample
        };
        assert!(sampled(0.0, &[link(TraceFlags::SAMPLED)]));
        assert!(!sampled(1.0, &[link(TraceFlags::default())]));
        assert!(sampled(0.0, &[link(TraceFlags::default()), link(TraceFlags::SAMPLED)]));
        assert!(!sampled(0.0, &[]));
        assert!(sampled(1.0, &[]));
    }

    #[test]
    fn what_is_foretold_of_a_span_is_what_the_sampler_does() {
        let context = |sampled: bool| {
            let flags = if sampled { TraceFlags::SAMPLED } else { TraceFlags::default() };
            SpanContext::new(TraceId::from(1_u128), SpanId::from(1_u64), flags, true, TraceState::default())
        };
        let roots = [Sampler::AlwaysOn, Sampler::AlwaysOff, Sampler::TraceIdRatioBased(0.0), Sampler::TraceIdRatioBased(1.0)];
        let never = [false, true, true, false];
        for (root, never) in roots.into_iter().zip(never) {
            for follows in [true, false] {
                let sampler = if follows { Sampler::ParentBased(Box::new(FollowLinks { root: root.clone() })) } else { root.clone() };
                for parent in [None, Some(true), Some(false)] {
                    for linked in [None, Some(true), Some(false)] {
                        let around = parent.map_or_else(Context::new, |sampled| Context::new().with_remote_span_context(context(sampled)));
                        let links: Vec<Link> = linked.map(|sampled| Link::with_context(context(sampled))).into_iter().collect();
                        let result =
                            sampler.should_sample(Some(&around), TraceId::from(7_u128), "process", &SpanKind::Consumer, &[], &links);
                        assert_eq!(
                            Foretold { follows, never }.never_recorded(parent, linked),
                            result.decision == SamplingDecision::Drop,
                            "{sampler:?}, parent {parent:?}, link {linked:?}"
                        );
                    }
                }
            }
        }
    }
}
