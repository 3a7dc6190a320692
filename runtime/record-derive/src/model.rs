//! The type as the macros see it: its parts and its attributes, checked. Not here: code.

use std::collections::BTreeSet;

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::ext::IdentExt;
use syn::meta::ParseNestedMeta;
use syn::{
    Attribute, Data, DeriveInput, Generics, Ident, LitStr, Member, Path, Result, Token, Type,
};

/// A struct or enum.
pub(crate) struct Container {
    pub(crate) ident: Ident,
    pub(crate) name: String,
    pub(crate) generics: Generics,
    /// The crate that has the module `record`.
    pub(crate) root: TokenStream,
    pub(crate) opaque: bool,
    pub(crate) aliases: Vec<String>,
    pub(crate) body: Body,
}

pub(crate) enum Body {
    Struct(Vec<Field>),
    Enum(Vec<Variant>),
}

pub(crate) struct Variant {
    pub(crate) ident: Ident,
    pub(crate) name: String,
    pub(crate) aliases: Vec<String>,
    pub(crate) fields: Vec<Field>,
}

pub(crate) struct Field {
    pub(crate) member: Member,
    /// The local variable that holds it in generated code.
    pub(crate) binding: Ident,
    pub(crate) name: String,
    pub(crate) ty: Type,
    pub(crate) aliases: Vec<String>,
    /// The expression that gives its default.
    pub(crate) default: Option<TokenStream>,
    pub(crate) opaque: bool,
}

impl Container {
    pub(crate) fn parse(input: &DeriveInput) -> Result<Container> {
        let mut attributes = Attributes::default();
        attributes.parse(&input.attrs, Place::Type)?;
        if let Some(lifetime) = input.generics.lifetimes().next() {
            return Err(syn::Error::new_spanned(
                lifetime,
                "a record owns its values: it can't have lifetime parameters",
            ));
        }
        let body = match &input.data {
            Data::Struct(data) => Body::Struct(parse_fields(&data.fields)?),
            Data::Enum(data) => Body::Enum(parse_variants(data, &input.ident)?),
            Data::Union(data) => {
                return Err(syn::Error::new_spanned(
                    data.union_token,
                    "a union can't be a record: use an enum",
                ));
            }
        };
        Ok(Container {
            ident: input.ident.clone(),
            name: input.ident.unraw().to_string(),
            generics: input.generics.clone(),
            root: match attributes.root {
                Some(path) => quote!(#path),
                None => quote!(::thalweg::__private),
            },
            opaque: attributes.opaque,
            aliases: attributes.aliases,
            body,
        })
    }

    /// The fields of the struct or of all variants.
    pub(crate) fn all_fields(&self) -> Vec<&Field> {
        match &self.body {
            Body::Struct(fields) => fields.iter().collect(),
            Body::Enum(variants) => variants.iter().flat_map(|variant| &variant.fields).collect(),
        }
    }
}

fn parse_variants(data: &syn::DataEnum, ident: &Ident) -> Result<Vec<Variant>> {
    if data.variants.is_empty() {
        return Err(syn::Error::new_spanned(ident, "an enum without variants has no values"));
    }
    let mut names = Names::default();
    let mut variants = Vec::new();
    for variant in &data.variants {
        let mut attributes = Attributes::default();
        attributes.parse(&variant.attrs, Place::Variant)?;
        let name = variant.ident.unraw().to_string();
        names.add(&name, &attributes.aliases, &variant.ident);
        variants.push(Variant {
            ident: variant.ident.clone(),
            name,
            aliases: attributes.aliases,
            fields: parse_fields(&variant.fields)?,
        });
    }
    names.check()?;
    Ok(variants)
}

fn parse_fields(fields: &syn::Fields) -> Result<Vec<Field>> {
    let mut names = Names::default();
    let mut parsed = Vec::new();
    for (member, field) in fields.members().zip(fields) {
        let mut attributes = Attributes::default();
        attributes.parse(&field.attrs, Place::Field)?;
        let name = match &member {
            Member::Named(ident) => ident.unraw().to_string(),
            Member::Unnamed(index) => index.index.to_string(),
        };
        names.add(&name, &attributes.aliases, &field.ty);
        parsed.push(Field {
            binding: format_ident!("__field{}", parsed.len()),
            member,
            name,
            ty: field.ty.clone(),
            aliases: attributes.aliases,
            default: attributes.default,
            opaque: attributes.opaque,
        });
    }
    names.check()?;
    Ok(parsed)
}

/// Current and former names, of which no two may claim the same.
#[derive(Default)]
struct Names {
    current: BTreeSet<String>,
    former: Vec<(String, TokenStream)>,
}

impl Names {
    fn add(&mut self, name: &str, aliases: &[String], place: &impl quote::ToTokens) {
        self.current.insert(name.to_owned());
        let place = quote!(#place);
        self.former.extend(aliases.iter().map(|alias| (alias.clone(), place.clone())));
    }

    fn check(mut self) -> Result<()> {
        for (alias, place) in &self.former {
            if !self.current.insert(alias.clone()) {
                return Err(syn::Error::new_spanned(
                    place,
                    format!("two claim the name `{alias}`: a rename_from must be unique here"),
                ));
            }
        }
        Ok(())
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Place {
    Type,
    Variant,
    Field,
}

#[derive(Default)]
struct Attributes {
    root: Option<Path>,
    opaque: bool,
    aliases: Vec<String>,
    default: Option<TokenStream>,
}

impl Attributes {
    fn parse(&mut self, attributes: &[Attribute], place: Place) -> Result<()> {
        for attribute in attributes.iter().filter(|found| found.path().is_ident("record")) {
            attribute.parse_nested_meta(|meta| self.parse_one(&meta, place))?;
        }
        Ok(())
    }

    fn parse_one(&mut self, meta: &ParseNestedMeta<'_>, place: Place) -> Result<()> {
        if meta.path.is_ident("rename_from") {
            self.aliases.push(meta.value()?.parse::<LitStr>()?.value());
        } else if meta.path.is_ident("opaque") && place != Place::Variant {
            self.opaque = true;
        } else if meta.path.is_ident("default") && place == Place::Field {
            self.default = Some(parse_default(meta)?);
        } else if meta.path.is_ident("crate") && place == Place::Type {
            let path = meta.value()?.parse::<LitStr>()?;
            self.root = Some(path.parse_with(Path::parse_mod_style)?);
        } else {
            let allowed = match place {
                Place::Type => "opaque, rename_from = \"Old\" and crate = \"path\" on a type",
                Place::Variant => "rename_from = \"Old\" on a variant",
                Place::Field => {
                    "default, default = \"path\", rename_from = \"old\" and opaque on a field"
                }
            };
            return Err(meta.error(format!("unknown attribute; there is {allowed}")));
        }
        Ok(())
    }
}

fn parse_default(meta: &ParseNestedMeta<'_>) -> Result<TokenStream> {
    if !meta.input.peek(Token![=]) {
        return Ok(quote!(::core::default::Default::default()));
    }
    let path = meta.value()?.parse::<LitStr>()?.parse::<syn::ExprPath>()?;
    Ok(quote!(#path()))
}
