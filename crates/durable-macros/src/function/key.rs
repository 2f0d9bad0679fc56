//! Key functions: a closure that picks arguments by their names (`|order_id, ..| format!("charge:{order_id}")`), or the
//! path of a function that takes references to all of them.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Error, Expr, ExprClosure, Ident, Pat, Result, Type};

use super::signature::Signature;

/// What a `key` may be, for errors.
const FORMS: &str = "a key function is a closure over arguments by name, `|order_id, ..| format!(\"charge:{order_id}\")`, \
                     or the path of a function that takes a reference to each";

/// The method that asks the key function.
pub(super) fn function(key: &Expr, signature: &Signature) -> Result<TokenStream> {
    let answer = match key {
        Expr::Closure(closure) => of_closure(closure, signature)?,
        Expr::Path(path) => {
            let idents = &signature.idents;
            let call = quote_spanned!(path.span()=> #path(#(#idents),*));
            quote! {
                let (#(#idents,)*) = args;
                let answer: ::std::string::String = #call;
                answer
            }
        }
        other => return Err(Error::new_spanned(other, FORMS)),
    };
    Ok(quote! {
        const HAS_KEY_FUNCTION: bool = true;

        fn key(args: &Self::Args) -> ::std::option::Option<::std::string::String> {
            ::std::option::Option::Some({ #answer })
        }
    })
}

fn of_closure(closure: &ExprClosure, signature: &Signature) -> Result<TokenStream> {
    let mut taken: Vec<(Ident, TokenStream)> = Vec::new();
    let mut has_rest = false;
    for input in &closure.inputs {
        let (pattern, own_type) = match input {
            Pat::Type(typed) => (&*typed.pat, Some(&*typed.ty)),
            pattern => (pattern, None),
        };
        match pattern {
            Pat::Rest(_) => has_rest = true,
            Pat::Ident(name) if name.by_ref.is_none() && name.subpat.is_none() && name.mutability.is_none() => {
                let argument_type = type_of(&name.ident, signature)?;
                let taken_type = own_type.map_or_else(|| quote!(&#argument_type), |own| quote!(#own));
                taken.push((name.ident.clone(), taken_type));
            }
            other => return Err(Error::new_spanned(other, FORMS)),
        }
    }
    let missing = signature.idents.iter().find(|ident| taken.iter().all(|(name, _)| name != *ident));
    if let (Some(missing), false) = (missing, has_rest) {
        let words = format!("the key leaves `{missing}` out: name it, or end the list by `..` if that is meant");
        return Err(Error::new(closure.inputs_end.span(), words));
    }
    let (names, types): (Vec<_>, Vec<_>) = taken.into_iter().unzip();
    let pattern = signature.idents.iter().map(|ident| if names.contains(ident) { quote!(#ident) } else { quote!(_) });
    let body = &closure.body;
    let returned = quote_spanned!(body.span()=> ::std::string::String);
    Ok(quote! {
        #[allow(clippy::ptr_arg, clippy::trivially_copy_pass_by_ref, clippy::needless_pass_by_value)]
        fn answer(#(#names: #types),*) -> #returned {
            #body
        }
        let (#(#pattern,)*) = args;
        answer(#(#names),*)
    })
}

fn type_of<'s>(name: &Ident, signature: &'s Signature) -> Result<&'s Type> {
    let found = signature.idents.iter().zip(&signature.types).find(|(ident, _)| *ident == name);
    found.map(|(_, of)| of).ok_or_else(|| {
        let known: Vec<String> = signature.idents.iter().map(|ident| format!("`{ident}`")).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        Error::new(name.span(), format!("`{name}` is no argument of `{}`, which has {known}", signature.name))
    })
}
