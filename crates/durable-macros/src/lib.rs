//! The attribute macros of the crate `durable`, which re-exports and documents them; use them from there. They only
//! rewrite what they are put on: everything they refer to lies behind `::durable`.

mod function;

use proc_macro::TokenStream;
use quote::quote;
use syn::{FnArg, ImplItem, ItemImpl, Pat};

/// Lets a trait or an implementation have `async fn`s: [`async-trait`](https://docs.rs/async-trait)'s attribute of the
/// same name, without a dependency of your own. In an implementation, where the trait says which parameters there
/// are, one that is not used or needs no `mut` is no warning.
///
/// ```text
/// #[durable::async_trait]
/// impl Task for SendEmail { .. }
/// ```
#[proc_macro_attribute]
pub fn async_trait(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let arguments = proc_macro2::TokenStream::from(arguments);
    let item = match syn::parse::<ItemImpl>(item.clone()) {
        Ok(mut implementation) => {
            use_parameters(&mut implementation);
            quote!(#[allow(unused_mut)] #implementation)
        }
        // A trait, or something that the other attribute has better words for.
        Err(_) => item.into(),
    };
    quote!(#[::durable::__private::async_trait(#arguments)] #item).into()
}

/// Makes an `async fn` a durable function: see the documentation of `durable::function`.
#[proc_macro_attribute]
pub fn function(options: TokenStream, item: TokenStream) -> TokenStream {
    function::expand(options.into(), item.into()).into()
}

/// Lets every parameter that has a name of its own count as used.
fn use_parameters(implementation: &mut ItemImpl) {
    for item in &mut implementation.items {
        let ImplItem::Fn(function) = item else { continue };
        let names = function.sig.inputs.iter().filter_map(|input| match input {
            FnArg::Typed(typed) => match &*typed.pat {
                Pat::Ident(name) if name.by_ref.is_none() && name.subpat.is_none() => Some(name.ident.clone()),
                _ => None,
            },
            FnArg::Receiver(_) => None,
        });
        let uses: Vec<syn::Stmt> = names.map(|name| syn::parse_quote!(let _ = &#name;)).collect();
        function.block.stmts.splice(0..0, uses);
    }
}
