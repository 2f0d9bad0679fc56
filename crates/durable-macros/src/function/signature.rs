//! What a durable function may look like, each rule with words that say what to do. Whether the types can be carried
//! as JSON is the compiler's to find out, at the types themselves.

use proc_macro2::{Span, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::{Error, FnArg, Ident, Pat, Result, ReturnType, Type};

/// How many arguments a function may have: as many as serde reads a tuple of.
const ARGUMENTS: usize = 12;

pub(super) struct Signature {
    pub(super) name: Ident,
    pub(super) idents: Vec<Ident>,
    pub(super) types: Vec<Type>,
    pub(super) output: Type,
}

impl Signature {
    /// Checks a function's head. Every rule that it breaks is told, not only the first.
    pub(super) fn check(head: &syn::Signature) -> Result<Self> {
        let mut flaws = Flaws::default();
        if head.asyncness.is_none() {
            flaws.add(head.fn_token, "a durable function waits for others, so it is async: write `async fn`");
        }
        if let Some(constness) = &head.constness {
            flaws.add(constness, "a durable function is an ordinary `async fn`: take this word out");
        }
        if let Some(abi) = &head.abi {
            flaws.add(abi, "a durable function is an ordinary `async fn`: take the ABI out");
        }
        if !head.generics.params.is_empty() {
            flaws.add(
                &head.generics,
                "a durable function is found by its name, so there is one of each: write it for one type, \
                 and give that to a generic function inside",
            );
        }
        let (mut idents, mut types) = (Vec::new(), Vec::new());
        for input in &head.inputs {
            match input {
                FnArg::Receiver(receiver) => flaws.add(
                    receiver,
                    "a durable function has no `self`: it runs in another process, maybe next year; take what it \
                     needs as arguments",
                ),
                FnArg::Typed(typed) => {
                    check_type(&typed.ty, "argument", &mut flaws);
                    match &*typed.pat {
                        Pat::Ident(name) if name.by_ref.is_none() && name.subpat.is_none() => {
                            idents.push(name.ident.clone());
                            types.push((*typed.ty).clone());
                        }
                        other => flaws.add(other, "an argument of a durable function has a name: take it apart inside"),
                    }
                }
            }
        }
        if types.len() > ARGUMENTS {
            flaws.add(
                &head.inputs,
                "a durable function has at most 12 arguments: put those that belong together into a struct",
            );
        }
        let output = match &head.output {
            ReturnType::Default => syn::parse_quote!(()),
            ReturnType::Type(_, output) => {
                check_type(output, "result", &mut flaws);
                (**output).clone()
            }
        };
        flaws.into_result()?;
        Ok(Self { name: head.ident.clone(), idents, types, output })
    }
}

/// Refuses what cannot be stored by the look of it.
fn check_type(of: &Type, what: &str, flaws: &mut Flaws) {
    let tokens = of.to_token_stream();
    if borrows(tokens.clone()) {
        let instead = if tokens.to_string() == "& str" { "`String`".to_owned() } else { "the value itself".to_owned() };
        flaws.add(of, format!("the {what} of a durable function is stored, so it cannot be borrowed: take {instead}"));
    } else if matches!(of, Type::ImplTrait(_)) {
        flaws.add(of, format!("the {what} of a durable function is stored, so its type has a name: write it out"));
    }
}

/// Whether a reference or a lifetime other than `'static` stands in a type.
fn borrows(tokens: TokenStream) -> bool {
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Punct(sign) if sign.as_char() == '&' => return true,
            TokenTree::Punct(sign)
                if sign.as_char() == '\''
                    && !matches!(tokens.peek(), Some(TokenTree::Ident(name)) if name == "static") =>
            {
                return true;
            }
            TokenTree::Group(group) if borrows(group.stream()) => return true,
            _ => {}
        }
    }
    false
}

/// What is wrong, all of it.
#[derive(Default)]
pub(super) struct Flaws(Option<Error>);

impl Flaws {
    pub(super) fn add(&mut self, at: impl ToTokens, words: impl std::fmt::Display) {
        let tokens = quote!(#at);
        let error =
            if tokens.is_empty() { Error::new(Span::call_site(), words) } else { Error::new_spanned(at, words) };
        match &mut self.0 {
            Some(first) => first.combine(error),
            None => self.0 = Some(error),
        }
    }

    pub(super) fn into_result(self) -> Result<()> {
        self.0.map_or(Ok(()), Err)
    }
}
