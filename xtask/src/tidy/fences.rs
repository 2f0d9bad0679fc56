//! The code in Markdown, documentation comments included: which fenced blocks there are, and which of them rustdoc
//! compiles. Does not run or judge them.

/// The text of all fenced blocks that rustdoc compiles and expects to be right, one after the other; empty if there
/// is none.
pub(super) fn compiled_code(markdown: &str) -> String {
    let mut code = String::new();
    let mut open: Option<(&str, bool)> = None;
    for line in markdown.lines() {
        let text = line.trim_start();
        match open {
            Some((fence, _)) if text.starts_with(fence) && text.trim_end().chars().all(|c| fence.starts_with(c)) => {
                open = None;
            }
            Some((_, compiles)) => {
                if compiles {
                    code.push_str(text);
                    code.push('\n');
                }
            }
            None => open = opening(text),
        }
    }
    code
}

/// The fence that opens a block on this line, and whether the block is compiled.
fn opening(text: &str) -> Option<(&str, bool)> {
    let sign = text.chars().next().filter(|c| matches!(c, '`' | '~'))?;
    let info = text.trim_start_matches(sign);
    let length = text.len() - info.len();
    (length >= 3).then(|| (&text[..length], compiles(info)))
}

/// Whether rustdoc compiles a block with these words behind its fence, and the block must be right.
fn compiles(info: &str) -> bool {
    info.split([',', ' '])
        .filter(|word| !word.is_empty())
        .all(|word| matches!(word, "rust" | "no_run" | "should_panic") || word.starts_with("edition"))
}

/// Whether code names a method or associated item: `.name` or `::name`.
pub(super) fn calls(code: &str, name: &str) -> bool {
    words(code, name).any(|at| code[..at].ends_with('.') || code[..at].ends_with("::"))
}

/// Whether code names an item at all.
pub(super) fn mentions(code: &str, name: &str) -> bool {
    words(code, name).next().is_some()
}

fn words<'a>(code: &'a str, name: &'a str) -> impl Iterator<Item = usize> + 'a {
    let is_part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    code.match_indices(name)
        .map(|(at, _)| at)
        .filter(move |at| !is_part(code[..*at].chars().next_back()) && !is_part(code[at + name.len()..].chars().next()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_that_compile_are_told_from_those_that_do_not() {
        for info in ["", "rust", "no_run", "rust,no_run", "should_panic", "edition2024"] {
            assert_eq!(compiled_code(&format!("Words.\n```{info}\nlet a = 1;\n```\n")), "let a = 1;\n", "{info}");
        }
        for info in ["text", "toml", "sh", "compile_fail", "rust,ignore", "console"] {
            assert_eq!(compiled_code(&format!("```{info}\nlet a = 1;\n```\n")), "", "{info}");
        }
    }

    #[test]
    fn prose_between_blocks_is_no_code() {
        assert_eq!(compiled_code(" ```\n a();\n ```\n b();\n ~~~\n c();\n ~~~\n"), "a();\nc();\n");
        assert_eq!(compiled_code("no block, `inline()` only"), "");
    }

    #[test]
    fn a_call_is_a_whole_name_behind_a_dot_or_a_path() {
        assert!(calls("ctx.step(\"a\")", "step"));
        assert!(calls("Task::step::<u8>()", "step"));
        assert!(!calls("ctx.steps()", "step"));
        assert!(!calls("fn step() {}", "step"));
        assert!(mentions("fn step() {}", "step"));
        assert!(!mentions("fn step_on() {}", "step"));
    }
}
