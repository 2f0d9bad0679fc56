//! What cannot be a durable function is a compile error that says what to do.

#[test]
fn misuse_is_a_compile_error_that_says_what_to_do() {
    trybuild::TestCases::new().compile_fail("tests/misuse/*.rs");
}
