//! `#[durable::function]`: what is written out for an annotated function. A unit value of the function's name stands
//! for it: calling that value makes the durable call, its trait says the rest. All decisions at run time are the
//! crate `durable`'s; here the signature and the options are checked and written down.

mod key;
mod options;
mod signature;

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Attribute, Error, ItemFn, Result};

use options::Options;
use signature::Signature;

pub(crate) fn expand(options: TokenStream, item: TokenStream) -> TokenStream {
    write(options, item).unwrap_or_else(Error::into_compile_error)
}

fn write(options: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let function: ItemFn = syn::parse2(item).map_err(|error| {
        Error::new(error.span(), "a durable function is a free `async fn` with a body: put the attribute on one")
    })?;
    let signature = Signature::check(&function.sig)?;
    let options = Options::parse(options)?;
    let key = options.key.as_ref().map(|key| key::function(key, &signature)).transpose()?;
    let meta = options.meta(&signature);
    let settle = options.settle(&signature);

    let Signature { name, idents, types, output } = &signature;
    let visibility = &function.vis;
    let (shown, of_body): (Vec<_>, Vec<_>) = function.attrs.iter().partition(|attribute| is_shown(attribute));
    let body = format_ident!("{name}_as_written");
    let (inputs, block) = (&function.sig.inputs, &function.block);
    // What does not fit is told at the type that does not.
    let first = types.first().map_or_else(Span::call_site, Spanned::span);
    let args = quote_spanned!(first=> (#(#types,)*));
    let each = types.iter().skip(1).map(|of| quote_spanned!(of.span()=> ::durable::__private::argument::<#of>();));
    let kinds = quote!(::durable::__private::{
        EngineKind as _, OwnKind as _, PlainKind as _, TaskErrorKind as _,
    });
    let kind = quote_spanned!(output.span()=> (&&&&::durable::__private::Probe::<#output>::new()).kind());
    let settled = quote_spanned!(output.span()=> #kind.#settle);
    let read = quote_spanned!(output.span()=> #kind.read(ended));
    Ok(quote! {
        #(#shown)*
        #[allow(non_camel_case_types)]
        #[derive(Clone, Copy, Debug)]
        #visibility struct #name;

        const _: () = {
            #(#of_body)*
            #[allow(clippy::unused_async)]
            async fn #body(#inputs) -> #output #block

            static META: ::durable::FunctionMeta = #meta;

            #[automatically_derived]
            impl ::durable::Function for #name {
                type Args = #args;
                type Output = #output;

                fn meta() -> &'static ::durable::FunctionMeta {
                    &META
                }

                fn run(args: Self::Args) -> ::durable::__private::BoxFuture<'static, Self::Output> {
                    #(#each)*
                    let (#(#idents,)*) = args;
                    ::std::boxed::Box::pin(#body(#(#idents),*))
                }

                fn settle(output: Self::Output) -> ::durable::TaskResult<::durable::__private::Payload> {
                    use #kinds;
                    #settled
                }

                fn read(
                    ended: ::durable::__private::Ended,
                ) -> ::std::result::Result<Self::Output, ::std::boxed::Box<::durable::Failure>> {
                    use #kinds;
                    #read
                }

                #key
            }

            #[automatically_derived]
            impl ::std::ops::Deref for #name {
                type Target = ::durable::Callable<#name, fn(#(#types),*) -> ::durable::FunctionCall<#name>>;

                fn deref(&self) -> &Self::Target {
                    static CALLABLE: ::durable::Callable<#name, fn(#(#types),*) -> ::durable::FunctionCall<#name>> =
                        ::durable::Callable::new(|#(#idents),*| ::durable::FunctionCall::new((#(#idents,)*)));
                    &CALLABLE
                }
            }

            ::durable::__private::inventory::submit!(::durable::FunctionEntry::of::<#name>());
        };
    })
}

/// Whether an attribute is about what users see of the function, and not about its code.
fn is_shown(attribute: &Attribute) -> bool {
    ["doc", "deprecated", "cfg"].iter().any(|name| attribute.path().is_ident(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_documents_a_function_stays_on_what_users_see() {
        let item = quote! {
            /// Charges an order.
            #[deprecated]
            #[tracing::instrument]
            pub async fn charge(cents: u64) {}
        };
        let written = expand(TokenStream::new(), item).to_string();
        let (shown, hidden) = written.split_once("struct charge").unwrap_or_default();
        assert!(shown.contains("Charges an order.") && shown.contains("deprecated"), "{written}");
        assert!(hidden.contains("instrument") && !hidden.contains("Charges an order."), "{written}");
    }
}
