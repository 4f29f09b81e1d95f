//! A mistake in a handler or a job gets a compile error that names it.

#[test]
fn mistakes_are_named_by_the_compiler() {
    let cases = trybuild::TestCases::new();
    cases.pass("tests/ui/good.rs");
    for case in ["bad_extractor", "bad_kind", "bad_return", "forgotten_enqueue", "missing_state", "not_a_job", "not_async"] {
        cases.compile_fail(format!("tests/ui/{case}.rs"));
    }
}
