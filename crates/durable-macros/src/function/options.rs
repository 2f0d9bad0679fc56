//! The options of the attribute: read, checked for what the compiler would not find by itself, and written down as the
//! function's metadata, whose own checks run while the user's code compiles.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::meta::ParseNestedMeta;
use syn::parse::Parser;
use syn::spanned::Spanned;
use syn::{Error, Expr, ExprLit, ExprPath, Lit, Result};

use super::signature::Signature;

/// The options, in the order in which an error lists them.
const OPTIONS: &str = "retry, queue, priority, tags, version, name, timeout, cached, idempotent, max_concurrent";
const RETRY_OPTIONS: &str = "max_attempts, initial_delay, backoff_factor, max_delay, jitter, retry_for";

#[derive(Default)]
pub(super) struct Options {
    /// What is set in the metadata, in the order in which it is given.
    meta: Vec<Setting>,
    name: Option<Expr>,
    retry_for: Option<ExprPath>,
    /// What `cached` and `idempotent` find a result by, if not by all arguments.
    pub(super) key: Option<Expr>,
    given: Vec<String>,
}

/// A method of the metadata (or of a retry policy) and its argument, if it has one.
struct Setting {
    method: String,
    value: Option<TokenStream>,
    span: Span,
}

impl Setting {
    fn new(method: &str, value: impl Spanned + ToTokens) -> Self {
        Self { method: method.to_owned(), span: value.span(), value: Some(value.into_token_stream()) }
    }

    fn flag(method: &str, span: Span) -> Self {
        Self { method: method.to_owned(), value: None, span }
    }

    /// What was made so far with this set too. All of it stands at the value, so that a value which is refused while
    /// the user's code compiles is what the compiler points at.
    fn set(&self, of: Of, so_far: &TokenStream) -> TokenStream {
        let (of, method, value) = (of.path(self.span), Ident::new(&self.method, self.span), self.value.iter());
        quote_spanned!(self.span=> #of::#method(#so_far #(, #value)*))
    }
}

/// What a setting is of.
#[derive(Clone, Copy)]
enum Of {
    Function,
    Retry,
}

impl Of {
    fn path(self, span: Span) -> TokenStream {
        match self {
            Self::Function => quote_spanned!(span=> ::durable::FunctionMeta),
            Self::Retry => quote_spanned!(span=> ::durable::__private::Retry),
        }
    }
}

/// Everything that is set, as one expression.
fn made(of: Of, begin: TokenStream, settings: &[Setting]) -> TokenStream {
    settings.iter().fold(begin, |so_far, setting| setting.set(of, &so_far))
}

impl Options {
    pub(super) fn parse(tokens: TokenStream) -> Result<Self> {
        let mut options = Self::default();
        let parser = syn::meta::parser(|meta| options.option(&meta));
        parser.parse2(tokens)?;
        Ok(options)
    }

    fn option(&mut self, meta: &ParseNestedMeta) -> Result<()> {
        let option = name_of(meta, "a durable function", OPTIONS)?;
        once(&mut self.given, &option, meta)?;
        match option.as_str() {
            "retry" => self.retry(meta),
            "queue" | "version" => self.plain(&option, meta),
            "priority" | "max_concurrent" => self.plain(&option, meta),
            "timeout" => {
                self.meta.push(Setting::new("timeout", duration(&meta.value()?.parse()?)));
                Ok(())
            }
            "name" => {
                self.name = Some(meta.value()?.parse()?);
                Ok(())
            }
            "tags" => {
                let Expr::Array(tags) = meta.value()?.parse()? else {
                    return Err(meta.error("tags are a list: `tags = [\"billing\"]`"));
                };
                self.meta.push(Setting::new("tags", quote_spanned!(tags.span()=> &#tags)));
                Ok(())
            }
            "cached" => self.cached(meta),
            "idempotent" => self.idempotent(meta),
            _ => Err(unknown(meta, &option, "a durable function", OPTIONS)),
        }
    }

    /// An option whose value goes into the metadata as it is.
    fn plain(&mut self, option: &str, meta: &ParseNestedMeta) -> Result<()> {
        let value: Expr = meta.value()?.parse()?;
        self.meta.push(Setting::new(option, value));
        Ok(())
    }

    fn retry(&mut self, meta: &ParseNestedMeta) -> Result<()> {
        let mut given = Vec::new();
        let mut settings = Vec::new();
        let mut retry_for = None;
        meta.parse_nested_meta(|meta| {
            let option = name_of(&meta, "`retry`", RETRY_OPTIONS)?;
            once(&mut given, &option, &meta)?;
            let value: Expr = match option.as_str() {
                "max_attempts" | "initial_delay" | "backoff_factor" | "max_delay" | "jitter" | "retry_for" => {
                    meta.value()?.parse()?
                }
                _ => return Err(unknown(&meta, &option, "`retry`", RETRY_OPTIONS)),
            };
            match (option.as_str(), value) {
                ("retry_for", Expr::Path(path)) => retry_for = Some(path),
                ("retry_for", other) => {
                    let words = "`retry_for` is the path of a function that takes a reference to the error and says \
                                 whether to try again: `retry_for = ChargeError::is_transient`";
                    return Err(Error::new_spanned(other, words));
                }
                ("initial_delay" | "max_delay", value) => settings.push(Setting::new(&option, duration(&value))),
                (_, value) => settings.push(Setting::new(&option, value)),
            }
            Ok(())
        })?;
        self.retry_for = retry_for;
        let policy = made(Of::Retry, quote!(::durable::__private::Retry::DEFAULT), &settings);
        self.meta.push(Setting { method: "retry".to_owned(), value: Some(policy), span: meta.path.span() });
        Ok(())
    }

    fn cached(&mut self, meta: &ParseNestedMeta) -> Result<()> {
        if !is_list(meta) {
            if is_on(meta)? {
                self.meta.push(Setting::flag("cached", meta.path.span()));
            }
            return Ok(());
        }
        let mut ttl = None;
        meta.parse_nested_meta(|meta| match name_of(&meta, "`cached`", "ttl, key")?.as_str() {
            "ttl" => {
                ttl = Some(duration(&meta.value()?.parse()?));
                Ok(())
            }
            "key" => self.set_key(&meta),
            other => Err(unknown(&meta, other, "`cached`", "ttl, key")),
        })?;
        self.meta.push(Setting::flag("cached", meta.path.span()));
        if let Some(ttl) = ttl {
            self.meta.push(Setting::new("cache_ttl", ttl));
        }
        Ok(())
    }

    fn idempotent(&mut self, meta: &ParseNestedMeta) -> Result<()> {
        if is_list(meta) {
            meta.parse_nested_meta(|meta| match name_of(&meta, "`idempotent`", "key")?.as_str() {
                "key" => self.set_key(&meta),
                other => Err(unknown(&meta, other, "`idempotent`", "key")),
            })?;
            self.meta.push(Setting::flag("idempotent", meta.path.span()));
        } else if is_on(meta)? {
            self.meta.push(Setting::flag("idempotent", meta.path.span()));
        }
        Ok(())
    }

    fn set_key(&mut self, meta: &ParseNestedMeta) -> Result<()> {
        if self.key.is_some() {
            return Err(meta.error("one key serves `cached` and `idempotent` alike: give it once"));
        }
        self.key = Some(meta.value()?.parse()?);
        Ok(())
    }

    /// The metadata as an expression that is evaluated while the user's code compiles.
    pub(super) fn meta(&self, signature: &Signature) -> TokenStream {
        let own = signature.name.to_string().trim_start_matches("r#").to_owned();
        let name = match &self.name {
            Some(name) => quote!(#name),
            None => quote!(::std::concat!(::std::module_path!(), ":", #own)),
        };
        let parameters = signature.idents.iter().map(|ident| ident.to_string().trim_start_matches("r#").to_owned());
        let span = self.name.as_ref().map_or_else(Span::call_site, Spanned::span);
        let begin = quote_spanned!(span=> ::durable::FunctionMeta::new(#name, &[#(#parameters),*]));
        made(Of::Function, begin, &self.meta)
    }

    /// The call that turns what the function returned into what is stored.
    pub(super) fn settle(&self, signature: &Signature) -> TokenStream {
        match &self.retry_for {
            Some(path) => quote_spanned!(path.span()=> settle_judged(output, #path)),
            None => quote_spanned!(signature.output.span()=> settle(output)),
        }
    }
}

/// A duration: text is read while the user's code compiles, anything else is a `Duration`.
fn duration(value: &Expr) -> TokenStream {
    match value {
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => {
            quote_spanned!(text.span()=> ::durable::__private::duration(#text))
        }
        other => quote!(#other),
    }
}

fn name_of(meta: &ParseNestedMeta, of: &str, known: &str) -> Result<String> {
    match meta.path.get_ident() {
        Some(ident) => Ok(ident.to_string()),
        None => Err(meta.error(format!("the options of {of} are: {known}"))),
    }
}

fn unknown(meta: &ParseNestedMeta, option: &str, of: &str, known: &str) -> Error {
    meta.error(format!("`{option}` is no option of {of}; there are: {known}"))
}

fn once(given: &mut Vec<String>, option: &str, meta: &ParseNestedMeta) -> Result<()> {
    if given.iter().any(|other| other == option) {
        return Err(meta.error(format!("`{option}` is given twice")));
    }
    given.push(option.to_owned());
    Ok(())
}

fn is_list(meta: &ParseNestedMeta) -> bool {
    meta.input.peek(syn::token::Paren)
}

/// Whether an option without a list is on: by its name alone, or as `= true`.
fn is_on(meta: &ParseNestedMeta) -> Result<bool> {
    if !meta.input.peek(syn::Token![=]) {
        return Ok(true);
    }
    Ok(meta.value()?.parse::<syn::LitBool>()?.value)
}
