//! A story in sentences: how long things took, and what for.

use std::collections::BTreeMap;

use haulage::story::{Span, SpanKind, WaitReason};

/// How long the job took that was asked for, or else the longest one, and what of it was waiting.
pub(super) fn sentence(jobs: &[&Span], until_ms: f64) -> Option<String> {
    let is_asked = |span: &Span| matches!(span.what, SpanKind::Job { asked: true, .. });
    let longest = || jobs.iter().max_by(|a, b| a.length_ms(until_ms).total_cmp(&b.length_ms(until_ms)));
    let told = jobs.iter().find(|span| is_asked(span)).or_else(longest)?;
    let SpanKind::Job { job, waited_ms, lost_ms, .. } = &told.what else { return None };

    let mut by_reason: BTreeMap<WaitReason, f64> = BTreeMap::new();
    for child in &told.children {
        // The stretch of attempts that are not told is no wait, and that after a crash is told as lost.
        if let SpanKind::Wait { reason, .. } = &child.what
            && !matches!(reason, WaitReason::Earlier | WaitReason::Rescue)
        {
            *by_reason.entry(*reason).or_default() += child.length_ms(until_ms);
        }
    }
    let mut by_reason: Vec<_> = by_reason.into_iter().collect();
    by_reason.sort_by(|a, b| b.1.total_cmp(&a.1));
    let waits: Vec<String> = match by_reason.as_slice() {
        [(reason, _)] => vec![reason.as_str().to_owned()],
        more => more.iter().map(|(reason, ms)| format!("{} {}", length(*ms), reason.as_str())).collect(),
    };

    let took = length(told.length_ms(until_ms));
    let so_far = if told.end_ms.is_some() { format!("took {took}") } else { format!("is {took} old") };
    let lost = if *lost_ms > 0.0 { format!("; {} went by with attempts whose process died", length(*lost_ms)) } else { String::new() };
    if waits.is_empty() {
        return Some(format!("Job {job} {so_far}, without a wait{lost}."));
    }
    Some(format!("Job {job} {so_far}, of which {} was waiting: {}{lost}.", length(*waited_ms), waits.join(", ")))
}

/// Two figures, or so: "0.4 ms", "41 ms", "2.6 s", "15 m 5 s", "3 h 20 m", "4 d 2 h".
pub(super) fn length(ms: f64) -> String {
    let s = ms / 1000.0;
    let two = |whole: f64, unit: &str, rest: f64, part: &str| {
        if rest < 1.0 { format!("{whole:.0} {unit}") } else { format!("{whole:.0} {unit} {:.0} {part}", rest.floor()) }
    };
    match ms {
        ..0.05 => "0 ms".to_owned(),
        ..9.95 => format!("{ms:.1} ms"),
        ..999.5 => format!("{ms:.0} ms"),
        ..9_950.0 => format!("{s:.1} s"),
        ..59_500.0 => format!("{s:.0} s"),
        ..3_600_000.0 => two((s.round() / 60.0).floor(), "m", s.round() % 60.0, "s"),
        ..86_400_000.0 => two((s / 3_600.0).floor(), "h", s % 3_600.0 / 60.0, "m"),
        _ => two((s / 86_400.0).floor(), "d", s % 86_400.0 / 3_600.0, "h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_told_in_about_two_figures() {
        for (ms, text) in [
            (0.0, "0 ms"),
            (0.43, "0.4 ms"),
            (41.2, "41 ms"),
            (999.7, "1.0 s"),
            (2_600.0, "2.6 s"),
            (59_600.0, "1 m"),
            (905_000.0, "15 m 5 s"),
            (12_000_000.0, "3 h 20 m"),
            (352_800_000.0, "4 d 2 h"),
        ] {
            assert_eq!(length(ms), text);
        }
    }
}
