//! Every public item of the Rust face has an example that is compiled:
//!
//! - a type, trait, free function or macro has a code block that compiles (plain, `no_run`, `should_panic`) in its own
//!   documentation;
//! - a method, associated item or constant has one too, or is used by name in a block of its type, of a module around
//!   it, of a Markdown file that the crate's documentation includes, or in a file of `examples/rust`;
//! - an item of another crate that is shown here by `pub use` has a block where it is defined (in this workspace) or
//!   at the `pub use`, or is named in any of the places above; `pub use other::*` is refused, since it names nothing.
//!
//! Fields and variants are left to their type's example; implementations of traits to the trait's.

use std::collections::BTreeSet;

use super::Finding;
use super::fences::{calls, mentions};
use super::source::{Kind, Source};
use super::surface::{self, Public, Shown, Surface};

const FACE: &str = "crates/durable/src/";
const EXAMPLES: &str = "examples/rust/";
const RULE: &str = "example";

pub(super) fn check(sources: &[Source]) -> Vec<Finding> {
    let face = surface::read(sources, FACE);
    let examples: String = sources
        .iter()
        .filter(|source| source.kind == Kind::Rust && source.path.starts_with(EXAMPLES))
        .map(|source| source.text.as_str())
        .collect();
    let elsewhere = documented_elsewhere(sources);
    let has_example = |item: &Public| {
        if !item.code.is_empty() {
            return true;
        }
        let around = around(&face, item);
        let places = || around.iter().copied().chain([face.included.as_str(), examples.as_str()]);
        match item.shown {
            Shown::Whole | Shown::Glob => false,
            Shown::Part if item.owner.is_some() => places().any(|code| calls(code, &item.name)),
            Shown::Part | Shown::TraitPart => places().any(|code| mentions(code, &item.name)),
            Shown::Elsewhere => {
                elsewhere.contains(&item.name) || places().chain(codes(&face)).any(|code| mentions(code, &item.name))
            }
        }
    };
    face.items
        .iter()
        .filter(|item| !has_example(item))
        .map(|item| item.source.finding(item.line, RULE, advice(item)))
        .collect()
}

/// The code blocks that stand around an item: its type's and its modules', up to the crate's root.
fn around<'s>(face: &'s Surface<'_>, item: &Public<'_>) -> Vec<&'s str> {
    let mut found: Vec<&str> = Vec::new();
    if let Some(owner) = &item.owner {
        found.extend([&face.types, &face.impls].into_iter().filter_map(|codes| codes.get(owner)).map(String::as_str));
    }
    let mut module = item.module.as_str();
    loop {
        found.extend(face.modules.get(module).map(String::as_str));
        if module.is_empty() {
            return found;
        }
        module = module.rsplit_once("::").map_or("", |(outer, _)| outer);
    }
}

/// All code blocks of the face.
fn codes<'s>(face: &'s Surface<'_>) -> impl Iterator<Item = &'s str> {
    face.items.iter().map(|item| item.code.as_str()).chain(face.modules.values().map(String::as_str))
}

/// The items of the workspace's other crates that have an example of their own, by name.
fn documented_elsewhere(sources: &[Source]) -> BTreeSet<String> {
    let mut folders: Vec<String> = sources
        .iter()
        .filter_map(|source| source.crate_of_source().map(|name| format!("crates/{name}/src/")))
        .filter(|folder| folder != FACE)
        .collect();
    folders.sort();
    folders.dedup();
    let of_folder = |folder: &String| surface::read(sources, folder).items;
    let items = folders.iter().flat_map(of_folder);
    items.filter(|item| item.owner.is_none() && !item.code.is_empty()).map(|item| item.name).collect()
}

fn advice(item: &Public) -> String {
    let name = item.owner.as_ref().map_or_else(|| item.name.clone(), |owner| format!("{owner}::{}", item.name));
    match item.shown {
        Shown::Whole => format!("`{name}` needs a code block that compiles in its documentation"),
        Shown::Part | Shown::TraitPart => {
            format!("`{name}` needs a code block that compiles, or a use in one of its type, its module or {EXAMPLES}")
        }
        Shown::Elsewhere => {
            format!("`{name}` needs a code block where it is defined or shown, or a use in one of this crate's")
        }
        Shown::Glob => format!("`{name}` hides what it shows: name the items"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing(files: &[(&str, &str)]) -> Vec<String> {
        let sources: Vec<Source> = files.iter().map(|(path, text)| Source::new(*path, *text)).collect();
        check(&sources).iter().map(|finding| format!("{}:{}", finding.path, finding.line)).collect()
    }

    fn missing_in_lib(text: &str) -> Vec<usize> {
        check(&[Source::new("crates/durable/src/lib.rs", text)]).iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn a_public_item_without_a_block_of_its_own_is_found() {
        for item in ["struct A;", "enum A { B }", "trait A {}", "fn a() {}", "type A = u8;"] {
            assert_eq!(missing_in_lib(&format!("/// Words.\npub {item}\n")), [2], "{item}");
            assert_eq!(missing_in_lib(&format!("/// ```text\n/// no code\n/// ```\npub {item}\n")), [4], "{item}");
            assert_eq!(missing_in_lib(&format!("/// ```no_run\n/// code();\n/// ```\npub {item}\n")), [0; 0], "{item}");
        }
        assert_eq!(missing_in_lib("#[macro_export]\nmacro_rules! a { () => {} }\n"), [2]);
    }

    #[test]
    fn what_is_not_public_needs_no_example() {
        assert_eq!(missing_in_lib("struct A;\npub(crate) fn b() {}\nmod c { fn d() {} }\n"), [0; 0]);
        assert_eq!(missing_in_lib("#[doc(hidden)]\npub struct A;\nimpl A {\n    pub fn b() {}\n}\n"), [0; 0]);
        assert_eq!(missing_in_lib("#[cfg(test)]\nmod tests {\n    pub fn b() {}\n}\n"), [0; 0]);
        assert_eq!(missing_in_lib("pub(crate) struct A;\nimpl A {\n    pub(crate) fn b() {}\n}\n"), [0; 0]);
    }

    #[test]
    fn a_hidden_module_is_left_out_with_its_files() {
        let lib = ("crates/durable/src/lib.rs", "#[doc(hidden)]\npub mod private;\n");
        assert_eq!(missing(&[lib, ("crates/durable/src/private/mod.rs", "pub fn a() {}\n")]), [""; 0]);
        assert_eq!(missing(&[lib, ("crates/durable/src/private/deep.rs", "pub fn a() {}\n")]), [""; 0]);
        let other = ("crates/durable/src/privately.rs", "pub fn a() {}\n");
        assert_eq!(missing(&[lib, other]), ["crates/durable/src/privately.rs:1"]);
    }

    const TYPE: &str = "/// ```\n/// let a = A::used();\n/// a.by_dot();\n/// ```\npub struct A;\n";

    #[test]
    fn a_method_may_be_shown_by_its_types_example() {
        let methods =
            "impl A {\n    pub fn used() {}\n    pub fn by_dot(&self) {}\n    pub fn unused() {}\n    fn own() {}\n}\n";
        assert_eq!(missing_in_lib(&format!("{TYPE}{methods}")), [9]);
    }

    #[test]
    fn a_method_may_be_shown_by_a_module_an_included_page_or_an_example() {
        let task = format!("{TYPE}impl A {{\n    pub fn other(&self) {{}}\n}}\n");
        let task = ("crates/durable/src/task.rs", task.as_str());
        assert_eq!(missing(&[task]), ["crates/durable/src/task.rs:7"]);
        let root = ("crates/durable/src/lib.rs", "//! ```\n//! a.other();\n//! ```\nmod task;\n");
        assert_eq!(missing(&[task, root]), [""; 0]);
        let including = ("crates/durable/src/lib.rs", "#![doc = include_str!(\"../README.md\")]\nmod task;\n");
        let page = ("crates/durable/README.md", "```rust\na.other();\n```\n");
        assert_eq!(missing(&[task, including, page]), [""; 0]);
        assert_eq!(missing(&[task, page]).len(), 1);
        assert_eq!(missing(&[task, ("examples/rust/src/hello.rs", "fn main() { A.other(); }\n")]), [""; 0]);
    }

    #[test]
    fn what_a_trait_asks_for_is_shown_by_an_implementation() {
        let head = "/// ```\n/// impl Task for A { const NAME: u8 = 1; fn run() {} }\n/// ```\n";
        let items = "pub trait Task {\n    const NAME: u8;\n    type Output;\n    fn run();\n}\n";
        assert_eq!(missing_in_lib(&format!("{head}{items}")), [6]);
    }

    #[test]
    fn an_item_of_another_crate_is_shown_where_it_is_defined_or_used() {
        let lib = ("crates/durable/src/lib.rs", "pub use stent_core::{RetryPolicy, Timestamp};\n");
        assert_eq!(missing(&[lib]).len(), 2);
        let core = ("crates/stent-core/src/lib.rs", "/// ```\n/// code();\n/// ```\npub struct Timestamp;\n");
        let used = ("examples/rust/src/retry.rs", "fn main() { RetryPolicy::default(); }\n");
        assert_eq!(missing(&[lib, core, used]), [""; 0]);
        assert_eq!(missing_in_lib("mod task;\npub use task::Task;\npub use crate::task::Other;\n"), [0; 0]);
        assert_eq!(missing_in_lib("pub use stent_core::*;\n"), [1]);
    }
}
