//! What a crate shows to its users, read from its sources: public items and the compiled code in their documentation.
//! A scan, not a compiler: `pub` counts as public (the lint `unreachable_pub` makes that true), what macros generate
//! is not seen, and `#[doc(hidden)]` and `#[cfg(test)]` are left out with all that is below them.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::Span;
use syn::{Attribute, Expr, ImplItem, Item, Lit, Meta, TraitItem, Type, UseTree, Visibility};

use super::fences::compiled_code;
use super::source::{Kind, Source};

/// How an item is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    /// A type, trait, free function or macro: it stands by itself.
    Whole,
    /// A method, associated constant, or constant of a module.
    Part,
    /// What a trait asks of those who implement it.
    TraitPart,
    /// An item of another crate, under a name of its own.
    Elsewhere,
    /// Everything of another crate's module.
    Glob,
}

/// One public item.
#[derive(Debug)]
pub(super) struct Public<'a> {
    pub source: &'a Source,
    pub line: usize,
    pub name: String,
    pub shown: Shown,
    /// The compiled code in its own documentation.
    pub code: String,
    /// The type or trait that a part belongs to.
    pub owner: Option<String>,
    /// The modules around it, from the crate's root, joined by `::`.
    pub module: String,
}

/// All of a crate's public items, and the code in the documentation around them.
#[derive(Debug, Default)]
pub(super) struct Surface<'a> {
    pub items: Vec<Public<'a>>,
    /// By public type or trait: its documentation's code.
    pub types: BTreeMap<String, String>,
    /// By type, public or not: the code of its impl blocks' documentation.
    pub impls: BTreeMap<String, String>,
    /// By module.
    pub modules: BTreeMap<String, String>,
    /// In Markdown files that the crate's documentation includes.
    pub included: String,
    module_names: BTreeSet<String>,
    left_out: BTreeSet<String>,
}

/// Reads the crate whose sources lie in a folder (`crates/durable/src/`). Files that do not parse are passed over: the
/// compiler names them better.
pub(super) fn read<'a>(sources: &'a [Source], folder: &str) -> Surface<'a> {
    let mut surface = Surface::default();
    let in_folder = sources.iter().filter(|source| source.kind == Kind::Rust && !source.is_test());
    let files: Vec<(&Source, String, syn::File)> = in_folder
        .filter_map(|source| {
            let module = module_of(source.path.strip_prefix(folder)?);
            Some((source, module, syn::parse_file(&source.text).ok()?))
        })
        .collect();
    for (source, module, file) in &files {
        surface.included.push_str(&included_code(sources, source));
        surface.note_modules(module, &file.items);
        surface.modules.entry(module.clone()).or_default().push_str(&code_of(&file.attrs));
    }
    for (source, module, file) in &files {
        let is_left_out = |hidden: &String| module == hidden || module.starts_with(&format!("{hidden}::"));
        if !surface.left_out.iter().any(is_left_out) {
            Reader { surface: &mut surface, source }.items(module, &file.items);
        }
    }
    let types: BTreeSet<String> = surface.types.keys().cloned().collect();
    surface.items.retain(|item| item.owner.as_ref().is_none_or(|owner| types.contains(owner)));
    surface
}

impl Surface<'_> {
    /// First round: which modules there are, which are left out, and what their declarations document.
    fn note_modules(&mut self, module: &str, items: &[Item]) {
        for item in items {
            let Item::Mod(inner) = item else { continue };
            let path = join(module, &inner.ident.to_string());
            self.module_names.insert(inner.ident.to_string());
            self.modules.entry(path.clone()).or_default().push_str(&code_of(&inner.attrs));
            if is_left_out(&inner.attrs) {
                self.left_out.insert(path.clone());
            }
            if let Some((_, items)) = &inner.content {
                self.note_modules(&path, items);
            }
        }
    }
}

/// Second round: one file's items into the surface.
struct Reader<'s, 'a> {
    surface: &'s mut Surface<'a>,
    source: &'a Source,
}

impl Reader<'_, '_> {
    fn items(&mut self, module: &str, items: &[Item]) {
        for item in items {
            self.item(module, item);
        }
    }

    fn item(&mut self, module: &str, item: &Item) {
        match item {
            Item::Fn(item) => self.whole(module, &item.vis, &item.attrs, &item.sig.ident),
            Item::Struct(item) => self.type_(module, &item.vis, &item.attrs, &item.ident),
            Item::Enum(item) => self.type_(module, &item.vis, &item.attrs, &item.ident),
            Item::Union(item) => self.type_(module, &item.vis, &item.attrs, &item.ident),
            Item::Type(item) => self.type_(module, &item.vis, &item.attrs, &item.ident),
            Item::Trait(item) => {
                self.type_(module, &item.vis, &item.attrs, &item.ident);
                if is_shown(&item.vis, &item.attrs) {
                    self.trait_parts(module, &item.ident.to_string(), &item.items);
                }
            }
            Item::Const(item) if is_shown(&item.vis, &item.attrs) => {
                self.add(module, Shown::Part, &item.attrs, &item.ident, None);
            }
            Item::Static(item) if is_shown(&item.vis, &item.attrs) => {
                self.add(module, Shown::Part, &item.attrs, &item.ident, None);
            }
            Item::Macro(item) => {
                let is_exported = item.attrs.iter().any(|attribute| attribute.path().is_ident("macro_export"));
                if let (true, false, Some(name)) = (is_exported, is_left_out(&item.attrs), &item.ident) {
                    self.add(module, Shown::Whole, &item.attrs, name, None);
                }
            }
            Item::Impl(block) if block.trait_.is_none() && !is_left_out(&block.attrs) => {
                if let Type::Path(path) = &*block.self_ty
                    && let Some(last) = path.path.segments.last()
                {
                    self.impl_parts(module, &last.ident.to_string(), &block.attrs, &block.items);
                }
            }
            Item::Mod(inner) if !is_left_out(&inner.attrs) => {
                if let Some((_, items)) = &inner.content {
                    self.items(&join(module, &inner.ident.to_string()), items);
                }
            }
            Item::Use(item) if is_shown(&item.vis, &item.attrs) => {
                let code = code_of(&item.attrs);
                self.uses(module, &code, item.leading_colon.is_some(), &item.tree);
            }
            _ => {}
        }
    }

    fn whole(&mut self, module: &str, visible: &Visibility, attributes: &[Attribute], name: &syn::Ident) {
        if is_shown(visible, attributes) {
            self.add(module, Shown::Whole, attributes, name, None);
        }
    }

    fn type_(&mut self, module: &str, visible: &Visibility, attributes: &[Attribute], name: &syn::Ident) {
        if is_shown(visible, attributes) {
            self.surface.types.entry(name.to_string()).or_default().push_str(&code_of(attributes));
            self.add(module, Shown::Whole, attributes, name, None);
        }
    }

    fn trait_parts(&mut self, module: &str, owner: &str, items: &[TraitItem]) {
        for item in items {
            let (attributes, name) = match item {
                TraitItem::Fn(item) => (&item.attrs, &item.sig.ident),
                TraitItem::Const(item) => (&item.attrs, &item.ident),
                TraitItem::Type(item) => (&item.attrs, &item.ident),
                _ => continue,
            };
            if !is_left_out(attributes) {
                self.add(module, Shown::TraitPart, attributes, name, Some(owner));
            }
        }
    }

    fn impl_parts(&mut self, module: &str, owner: &str, attributes: &[Attribute], items: &[ImplItem]) {
        self.surface.impls.entry(owner.to_owned()).or_default().push_str(&code_of(attributes));
        for item in items {
            let (visible, attributes, name) = match item {
                ImplItem::Fn(item) => (&item.vis, &item.attrs, &item.sig.ident),
                ImplItem::Const(item) => (&item.vis, &item.attrs, &item.ident),
                _ => continue,
            };
            if is_shown(visible, attributes) {
                self.add(module, Shown::Part, attributes, name, Some(owner));
            }
        }
    }

    /// The names a `pub use` gives to items of other crates; the crate's own are read where they are defined.
    fn uses(&mut self, module: &str, code: &str, is_extern: bool, tree: &UseTree) {
        if let UseTree::Group(group) = tree {
            group.items.iter().for_each(|tree| self.uses(module, code, is_extern, tree));
            return;
        }
        let UseTree::Path(path) = tree else { return };
        let first = path.ident.to_string();
        let is_own = matches!(first.as_str(), "crate" | "self" | "super") || self.surface.module_names.contains(&first);
        if is_extern || !is_own {
            self.leaves(module, code, &first, &path.tree);
        }
    }

    fn leaves(&mut self, module: &str, code: &str, parent: &str, tree: &UseTree) {
        let (span, name, shown) = match tree {
            UseTree::Path(path) => return self.leaves(module, code, &path.ident.to_string(), &path.tree),
            UseTree::Group(group) => {
                return group.items.iter().for_each(|tree| self.leaves(module, code, parent, tree));
            }
            UseTree::Name(leaf) if leaf.ident == "self" => (leaf.ident.span(), parent.to_owned(), Shown::Elsewhere),
            UseTree::Name(leaf) => (leaf.ident.span(), leaf.ident.to_string(), Shown::Elsewhere),
            UseTree::Rename(leaf) if leaf.rename == "_" => return,
            UseTree::Rename(leaf) => (leaf.rename.span(), leaf.rename.to_string(), Shown::Elsewhere),
            UseTree::Glob(glob) => (glob.star_token.spans[0], format!("{parent}::*"), Shown::Glob),
        };
        self.push(module, shown, span, name, code.to_owned(), None);
    }

    fn add(&mut self, module: &str, shown: Shown, attributes: &[Attribute], name: &syn::Ident, owner: Option<&str>) {
        self.push(module, shown, name.span(), name.to_string(), code_of(attributes), owner);
    }

    fn push(&mut self, module: &str, shown: Shown, span: Span, name: String, code: String, owner: Option<&str>) {
        self.surface.items.push(Public {
            source: self.source,
            line: span.start().line,
            name,
            shown,
            code,
            owner: owner.map(str::to_owned),
            module: module.to_owned(),
        });
    }
}

fn join(module: &str, name: &str) -> String {
    if module.is_empty() { name.to_owned() } else { format!("{module}::{name}") }
}

/// The module that a file holds: `lib.rs` the root, `a/b.rs` and `a/b/mod.rs` the module `a::b`.
fn module_of(path: &str) -> String {
    let path = path.strip_suffix(".rs").unwrap_or(path);
    let path = path.strip_suffix("/mod").unwrap_or(path);
    if matches!(path, "lib" | "main") { String::new() } else { path.replace('/', "::") }
}

fn is_shown(visible: &Visibility, attributes: &[Attribute]) -> bool {
    matches!(visible, Visibility::Public(_)) && !is_left_out(attributes)
}

fn is_left_out(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let Meta::List(list) = &attribute.meta else { return false };
        let inside = list.tokens.to_string();
        (list.path.is_ident("doc") && inside == "hidden") || (list.path.is_ident("cfg") && inside == "test")
    })
}

fn code_of(attributes: &[Attribute]) -> String {
    let mut markdown = String::new();
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("doc")) {
        if let Meta::NameValue(pair) = &attribute.meta
            && let Expr::Lit(literal) = &pair.value
            && let Lit::Str(text) = &literal.lit
        {
            markdown.push_str(&text.value());
            markdown.push('\n');
        }
    }
    compiled_code(&markdown)
}

/// The code of the Markdown files that a source takes into its documentation.
fn included_code(sources: &[Source], source: &Source) -> String {
    let mut code = String::new();
    for (at, sign) in source.text.match_indices("include_str!(\"") {
        let Some((relative, _)) = source.text[at + sign.len()..].split_once('"') else { continue };
        let path = resolve(&source.path, relative);
        let included = sources.iter().find(|other| other.kind == Kind::Markdown && other.path == path);
        code.push_str(&included.map_or_else(String::new, |other| compiled_code(&other.text)));
    }
    code
}

/// A path relative to a file's folder, relative to the root.
fn resolve(file: &str, relative: &str) -> String {
    let mut parts: Vec<&str> = file.split('/').collect();
    parts.pop();
    for part in relative.split('/') {
        match part {
            "." => {}
            ".." => drop(parts.pop()),
            name => parts.push(name),
        }
    }
    parts.join("/")
}
