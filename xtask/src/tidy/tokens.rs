//! Rules about Rust code as the compiler reads it, without comments, strings and documentation: who may read the wall
//! clock, who may print, what a module may be called. Works on tokens, so code inside macro calls is seen too; code
//! that exists only under `cfg(test)` is known as such.

use std::ops::RangeInclusive;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

use super::Finding;
use super::shape::REFUSED_NAMES;
use super::source::{Kind, Source};

/// The files that read the wall clock, each with the reason why it may.
const CLOCKS: &[(&str, &str)] = &[
    ("crates/durable/src/function/plain.rs", "functions that run as written have no store whose clock could be asked"),
    ("crates/stent-engine/src/clock.rs", "the one `Clock`, which paces the engine and is virtual in simulations"),
    (
        "crates/stent-postgres/src/clock.rs",
        "the server's clock, estimated between its answers; the host's before the first",
    ),
    ("crates/stent-sqlite/src/clock.rs", "the store's clock: SQLite has no server whose time could be asked"),
];

/// Crates that are programs: their output is their work.
const PROGRAMS: &[&str] = &["stent-cli"];

const PRINTERS: &[&str] = &["print", "println", "eprint", "eprintln", "dbg"];

pub(super) fn check(sources: &[Source]) -> Vec<Finding> {
    sources.iter().filter(|source| source.kind == Kind::Rust).flat_map(check_one).collect()
}

fn check_one(source: &Source) -> Vec<Finding> {
    let tokens = flatten(&source.text);
    let mut findings = module_names(source, &tokens);
    if !source.is_test() && (source.crate_of_source().is_some() || source.path.starts_with("xtask/src/")) {
        findings.extend(wall_clock(source, &tokens));
    }
    if !source.is_test() && source.crate_of_source().is_some_and(|name| !PROGRAMS.contains(&name)) {
        findings.extend(printing(source, &tokens));
    }
    findings
}

fn wall_clock(source: &Source, tokens: &[Token]) -> Vec<Finding> {
    if CLOCKS.iter().any(|(path, _)| *path == source.path) {
        return Vec::new();
    }
    occurrences(tokens, &["SystemTime", ":", ":", "now"])
        .into_iter()
        .filter(|token| !token.is_test)
        .map(|token| {
            source.finding(token.line, "wall clock", "ask the store's clock for truth, the `Clock` for pacing")
        })
        .collect()
}

fn printing(source: &Source, tokens: &[Token]) -> Vec<Finding> {
    PRINTERS
        .iter()
        .flat_map(|printer| occurrences(tokens, &[printer, "!"]))
        .filter(|token| !token.is_test)
        .map(|token| source.finding(token.line, "printing", "a library speaks through `tracing`"))
        .collect()
}

/// Modules written inside a file; those that are files of their own are judged by their paths.
fn module_names(source: &Source, tokens: &[Token]) -> Vec<Finding> {
    REFUSED_NAMES
        .iter()
        .flat_map(|name| occurrences(tokens, &["mod", name, "{"]).into_iter().map(move |token| (name, token.line)))
        .map(|(name, line)| source.finding(line, "name", format!("`{name}` says nothing: name what it holds")))
        .collect()
}

/// A token with its line, from 1. Groups are opened and closed by tokens of their own.
#[derive(Debug)]
struct Token {
    text: String,
    line: usize,
    is_test: bool,
}

fn occurrences<'a>(tokens: &'a [Token], sought: &[&str]) -> Vec<&'a Token> {
    let is_sought = |window: &&[Token]| window.iter().zip(sought).all(|(token, text)| token.text == *text);
    tokens.windows(sought.len()).filter(is_sought).map(|window| &window[0]).collect()
}

/// The tokens of a file; none if it is not Rust, which the compiler says better.
fn flatten(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    if let Ok(stream) = text.parse::<TokenStream>() {
        flatten_into(&mut tokens, &stream, false);
    }
    tokens
}

fn flatten_into(tokens: &mut Vec<Token>, stream: &TokenStream, is_test: bool) {
    let trees: Vec<TokenTree> = stream.clone().into_iter().collect();
    let test_parts = test_items(&trees);
    for (index, tree) in trees.iter().enumerate() {
        let is_test = is_test || test_parts.iter().any(|part| part.contains(&index));
        let mut push = |text: String, line| tokens.push(Token { text, line, is_test });
        match tree {
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Brace => ("{", "}"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::None => ("", ""),
                };
                push(open.to_owned(), group.span_open().start().line);
                flatten_into(tokens, &group.stream(), is_test);
                tokens.push(Token { text: close.to_owned(), line: group.span_close().start().line, is_test });
            }
            // A literal's text could be mistaken for code, and no rule asks for it.
            TokenTree::Literal(literal) => push(String::new(), literal.span().start().line),
            other => push(other.to_string(), other.span().start().line),
        }
    }
}

/// The items marked `#[cfg(test)]` among the trees of one level, each from its mark to its end.
fn test_items(trees: &[TokenTree]) -> Vec<RangeInclusive<usize>> {
    let mut items = Vec::new();
    let mut index = 0;
    while index < trees.len() {
        if is_punct(&trees[index], '#') && trees.get(index + 1).is_some_and(is_test_only) {
            let ends = |tree: &TokenTree| match tree {
                TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
                other => is_punct(other, ';'),
            };
            let end = trees[index..].iter().position(ends).map_or(trees.len() - 1, |length| index + length);
            items.push(index..=end);
            index = end;
        }
        index += 1;
    }
    items
}

fn is_punct(tree: &TokenTree, sought: char) -> bool {
    matches!(tree, TokenTree::Punct(punct) if punct.as_char() == sought)
}

/// `[cfg(test)]` or `[cfg(all(.., test, ..))]`, the part of an attribute after its `#`.
fn is_test_only(tree: &TokenTree) -> bool {
    let TokenTree::Group(attribute) = tree else { return false };
    let text: String = attribute.stream().to_string().split_whitespace().collect();
    text == "cfg(test)"
        || text
            .strip_prefix("cfg(all(")
            .and_then(|rest| rest.strip_suffix("))"))
            .is_some_and(|parts| parts.split(',').any(|part| part == "test"))
}

/// How many lines of a file belong to `#[cfg(test)]` items, each counted from its first line to its last.
pub(super) fn test_lines(text: &str) -> usize {
    flatten(text)
        .chunk_by(|one, next| one.is_test == next.is_test)
        .filter(|run| run[0].is_test)
        .map(|run| run[run.len() - 1].line - run[0].line + 1)
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(path: &str, text: &str) -> Vec<(&'static str, usize)> {
        check(&[Source::new(path, text)]).iter().map(|finding| (finding.rule, finding.line)).collect()
    }

    const CLOCK_CALL: &str = "fn f() {\n    std::time::SystemTime::now();\n}\n";
    const PRINT_CALL: &str = "fn f() {\n    select! { _ => println!(\"x\") }\n}\n";

    #[test]
    fn the_wall_clock_is_read_in_the_clock_alone() {
        assert_eq!(rules("crates/stent-engine/src/timers.rs", CLOCK_CALL), [("wall clock", 2)]);
        assert_eq!(rules("xtask/src/test.rs", CLOCK_CALL), [("wall clock", 2)]);
        assert_eq!(rules(CLOCKS[0].0, CLOCK_CALL), []);
        assert_eq!(rules("examples/rust/src/poll.rs", CLOCK_CALL), []);
        assert_eq!(rules("crates/durable/tests/it.rs", CLOCK_CALL), []);
    }

    #[test]
    fn a_library_that_prints_is_found_even_inside_a_macro() {
        assert_eq!(rules("crates/durable/src/task.rs", PRINT_CALL), [("printing", 2)]);
        assert_eq!(rules("crates/stent-cli/src/demo.rs", PRINT_CALL), []);
        assert_eq!(rules("crates/durable/build.rs", PRINT_CALL), []);
    }

    #[test]
    fn tests_documentation_and_strings_may_say_what_code_may_not() {
        let in_tests = format!("#[cfg(test)]\nmod tests {{\n{CLOCK_CALL}{PRINT_CALL}}}\n");
        assert_eq!(rules("crates/durable/src/task.rs", &in_tests), []);
        let in_docs = "/// println!(\"x\");\nconst A: &str = \"println!(SystemTime::now())\";\n";
        assert_eq!(rules("crates/durable/src/task.rs", in_docs), []);
    }

    #[test]
    fn code_after_a_test_item_is_not_a_test() {
        let text = format!("#[cfg(test)]\nuse a::{{b, c}};\n#[cfg(all(test, unix))]\nfn t() {{}}\n{PRINT_CALL}");
        assert_eq!(rules("crates/durable/src/task.rs", &text), [("printing", 6)]);
        assert_eq!(rules("crates/durable/src/task.rs", &format!("#[cfg(not(test))]\n{PRINT_CALL}")), [("printing", 3)]);
    }

    #[test]
    fn an_inline_module_needs_a_name_that_says_something() {
        for name in REFUSED_NAMES {
            assert_eq!(rules("crates/a/src/x.rs", &format!("mod {name} {{}}")), [("name", 1)]);
        }
        assert_eq!(rules("crates/a/src/x.rs", "mod claim {}"), []);
    }

    #[test]
    fn lines_of_tests_are_counted_from_first_to_last() {
        let text = "fn f() {}\n\n#[cfg(test)]\nmod tests {\n    // why\n\n    fn t() {}\n}\nfn g() {}\n";
        assert_eq!(test_lines(text), 6);
        assert_eq!(test_lines("fn f() {}\n"), 0);
    }
}
