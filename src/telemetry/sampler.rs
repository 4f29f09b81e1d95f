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

/// As `OTEL_TRACES_SAMPLER` says. With nowhere to send, only what somebody else has sampled keeps its mark.
pub(super) fn from_variables(sends: bool) -> Result<Sampler, InitError> {
    const NAME: &str = "OTEL_TRACES_SAMPLER";
    const ARG: &str = "OTEL_TRACES_SAMPLER_ARG";
    let followed = |root: Sampler| Sampler::ParentBased(Box::new(FollowLinks { root }));
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
        Some("always_on") => Sampler::AlwaysOn,
        Some("always_off") => Sampler::AlwaysOff,
        Some("traceidratio") => Sampler::TraceIdRatioBased(ratio()?),
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
}
