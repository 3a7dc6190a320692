//! How bytes of one version of a type become values of another: resolved once from the two
//! schemas, then followed for every value. Not here: the values themselves; each type's
//! `decode_evolved` follows its own part of the plan.

use super::schema::{DepthGuard, FieldSchema, MAX_DEPTH, VariantSchema};
use super::varint::{read_length, read_u64, read_u128, skip_padding, take, take_byte, unzigzag};
use super::{DecodeError, EvolutionError, EvolutionRefusal, Schema};

/// How to read a writer's bytes as the reader's type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodePlan {
    node: Node,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Node {
    /// The bytes are laid out as the reader lays them out.
    Identity,
    Integer {
        bits: u8,
        signed: bool,
    },
    Float,
    /// Written as T, read as Option<T>.
    WithinSome(Box<DecodePlan>),
    /// What an option, list, set or array holds.
    Element(Box<DecodePlan>),
    Map(Box<DecodePlan>, Box<DecodePlan>),
    Tuple(Vec<DecodePlan>),
    Struct(FieldsPlan),
    Enum {
        type_name: String,
        variants: Vec<VariantPlan>,
    },
}

/// The writer's fields in the order of its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
struct FieldsPlan {
    steps: Vec<Step>,
    /// The reader has exactly these fields, in this order.
    same_fields: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    /// The reader's field of that number.
    Field(usize, DecodePlan),
    Skip(Schema),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum VariantPlan {
    /// The reader's variant of that number.
    Variant(u32, FieldsPlan),
    Removed(String),
}

impl DecodePlan {
    /// Matches what was written with what is to be read.
    ///
    /// # Errors
    /// The path of the first place that the reader can't read, and why.
    pub fn resolve(writer: &Schema, reader: &Schema) -> Result<DecodePlan, EvolutionError> {
        let mut path = Path(String::new());
        match reader {
            Schema::Struct { name, .. } | Schema::Enum { name, .. } => path.0.push_str(name),
            other => path.0 = other.to_string(),
        }
        resolve(writer, reader, &mut path)
    }

    /// Whether the bytes are laid out as the reader's own, so that
    /// [`Record::decode`](super::Record::decode) reads them.
    #[inline]
    pub fn is_identity(&self) -> bool {
        matches!(self.node, Node::Identity)
    }

    /// Whether keys of the writer's type are, as values of the reader's type, still encoded as
    /// they were, and so still in their key group. If not, state under such keys can't be
    /// restored: the rows would never be found. Integers may widen; fields and variants may
    /// be renamed and variants appended, but nothing added, removed or moved before others.
    pub fn keeps_keys(&self) -> bool {
        match &self.node {
            Node::Identity | Node::Integer { .. } => true,
            Node::Element(element) => element.keeps_keys(),
            Node::Tuple(elements) => elements.iter().all(DecodePlan::keeps_keys),
            Node::Struct(fields) => fields.keep_keys(),
            Node::Enum { variants, .. } => (0u32..).zip(variants).all(|(position, variant)| {
                matches!(variant, VariantPlan::Variant(index, fields)
                    if *index == position && fields.keep_keys())
            }),
            // No keys; and whether `Some(x)` is encoded as `x` depends on x.
            Node::Float | Node::Map(..) | Node::WithinSome(_) => false,
        }
    }

    /// An integer that was written narrower than it's read.
    pub(super) fn read_integer(
        &self,
        input: &mut &[u8],
        type_name: &'static str,
    ) -> Result<i128, DecodeError> {
        let Node::Integer { bits, signed } = self.node else {
            return Err(DecodeError::PlanMismatch { type_name });
        };
        Ok(match (bits, signed) {
            (8, false) => i128::from(take_byte(input)?),
            (8, true) => i128::from(take_byte(input)? as i8),
            (_, false) => i128::from(read_u64(input, type_name)?),
            (_, true) => i128::from(unzigzag(read_u64(input, type_name)?)),
        })
    }

    /// Whether an f32 is to be read as an f64.
    pub(super) fn is_float(&self) -> bool {
        matches!(self.node, Node::Float)
    }

    /// The plan of the value inside, if it was written without the option around it.
    pub(super) fn within_some(&self) -> Option<&DecodePlan> {
        match &self.node {
            Node::WithinSome(inner) => Some(inner),
            _ => None,
        }
    }

    /// The plan of what an option, list, set or array holds.
    pub(super) fn element(&self, type_name: &'static str) -> Result<&DecodePlan, DecodeError> {
        match &self.node {
            Node::Element(inner) => Ok(inner),
            _ => Err(DecodeError::PlanMismatch { type_name }),
        }
    }

    /// The plans of a map's keys and values.
    pub(super) fn entry(&self) -> Result<(&DecodePlan, &DecodePlan), DecodeError> {
        match &self.node {
            Node::Map(key, value) => Ok((key, value)),
            _ => Err(DecodeError::PlanMismatch { type_name: "map" }),
        }
    }

    /// The plans of a tuple's elements.
    pub(super) fn elements<const N: usize>(&self) -> Result<&[DecodePlan; N], DecodeError> {
        match &self.node {
            Node::Tuple(plans) => plans.as_slice().try_into().ok(),
            _ => None,
        }
        .ok_or(DecodeError::PlanMismatch { type_name: "tuple" })
    }

    /// For derived code: the fields of a struct, in the order of the writer's bytes.
    #[doc(hidden)]
    pub fn fields(&self, type_name: &'static str) -> Result<FieldCursor<'_>, DecodeError> {
        match &self.node {
            Node::Struct(fields) => Ok(FieldCursor { steps: fields.steps.iter() }),
            _ => Err(DecodeError::PlanMismatch { type_name }),
        }
    }

    /// For derived code: reads the writer's variant number; returns the reader's and its fields.
    #[doc(hidden)]
    pub fn variant(
        &self,
        input: &mut &[u8],
        type_name: &'static str,
    ) -> Result<(u32, FieldCursor<'_>), DecodeError> {
        let Node::Enum { type_name, variants } = &self.node else {
            return Err(DecodeError::PlanMismatch { type_name });
        };
        let index = read_variant(input)?;
        match variants.get(index as usize) {
            Some(VariantPlan::Variant(number, fields)) => {
                Ok((*number, FieldCursor { steps: fields.steps.iter() }))
            }
            Some(VariantPlan::Removed(variant)) => Err(DecodeError::RemovedVariant {
                type_name: type_name.clone(),
                variant: variant.clone(),
            }),
            None => Err(DecodeError::UnknownVariant { type_name: type_name.clone(), index }),
        }
    }
}

impl FieldsPlan {
    fn keep_keys(&self) -> bool {
        self.same_fields
            && self.steps.iter().all(|step| match step {
                Step::Field(_, plan) => plan.keeps_keys(),
                Step::Skip(_) => false,
            })
    }
}

/// Walks through the writer's fields of one value.
#[doc(hidden)]
#[derive(Debug)]
pub struct FieldCursor<'a> {
    steps: std::slice::Iter<'a, Step>,
}

impl<'a> FieldCursor<'a> {
    /// The next field that the reader has, by the reader's numbering; skips those it lacks.
    #[doc(hidden)]
    pub fn next(
        &mut self,
        input: &mut &[u8],
    ) -> Result<Option<(usize, &'a DecodePlan)>, DecodeError> {
        for step in self.steps.by_ref() {
            match step {
                Step::Field(index, plan) => return Ok(Some((*index, plan))),
                Step::Skip(schema) => skip(schema, input)?,
            }
        }
        Ok(None)
    }
}

pub(super) fn read_variant(input: &mut &[u8]) -> Result<u32, DecodeError> {
    let index = read_u64(input, "variant number")?;
    u32::try_from(index).map_err(|_| DecodeError::OutOfRange { type_name: "variant number" })
}

/// Where resolving stands, for errors.
struct Path(String);

impl Path {
    fn within<R>(&mut self, part: &str, run: impl FnOnce(&mut Path) -> R) -> R {
        let length = self.0.len();
        self.0.push_str(part);
        let result = run(self);
        self.0.truncate(length);
        result
    }

    fn refuse(&self, reason: EvolutionRefusal) -> EvolutionError {
        EvolutionError { path: self.0.clone(), reason }
    }
}

fn resolve(
    writer: &Schema,
    reader: &Schema,
    path: &mut Path,
) -> Result<DecodePlan, EvolutionError> {
    let Some(_guard) = DepthGuard::enter() else {
        return Err(path.refuse(EvolutionRefusal::TooDeep { limit: MAX_DEPTH }));
    };
    let node = match (writer, reader) {
        (Schema::Option(writer), Schema::Option(reader)) => {
            one(path.within("?", |path| resolve(writer, reader, path))?)
        }
        (writer, Schema::Option(reader)) => {
            let inner = path.within("?", |path| resolve(writer, reader, path))?;
            Node::WithinSome(Box::new(inner))
        }
        (Schema::Opaque(from), Schema::Opaque(to)) if from == to => Node::Identity,
        (Schema::Opaque(_), _) | (_, Schema::Opaque(_)) => {
            return Err(path.refuse(EvolutionRefusal::Opaque {
                writer: writer.to_string(),
                reader: reader.to_string(),
            }));
        }
        (Schema::Bytes, Schema::List(element)) => {
            let byte = Schema::Integer { bits: 8, signed: false };
            one(path.within("[]", |path| resolve(&byte, element, path))?)
        }
        (Schema::List(writer), Schema::List(reader))
        | (Schema::Set(writer), Schema::Set(reader)) => {
            one(path.within("[]", |path| resolve(writer, reader, path))?)
        }
        (
            Schema::Array { element: writer, length: written },
            Schema::Array { element: reader, length },
        ) => {
            check_arity(*written, *length, path)?;
            one(path.within("[]", |path| resolve(writer, reader, path))?)
        }
        (Schema::Map { key, value }, Schema::Map { key: read_key, value: read_value }) => {
            let key = path.within("{key}", |path| resolve(key, read_key, path))?;
            let value = path.within("{value}", |path| resolve(value, read_value, path))?;
            match key.is_identity() && value.is_identity() {
                true => Node::Identity,
                false => Node::Map(Box::new(key), Box::new(value)),
            }
        }
        (Schema::Tuple(writer), Schema::Tuple(reader)) => resolve_tuple(writer, reader, path)?,
        (
            Schema::Struct { name, fields, .. },
            Schema::Struct { name: to, aliases, fields: reader },
        ) => {
            check_name(name, to, aliases, path)?;
            let (plan, identity) = resolve_fields(fields, reader, path)?;
            if identity { Node::Identity } else { Node::Struct(plan) }
        }
        (
            Schema::Enum { name, variants, .. },
            Schema::Enum { name: to, aliases, variants: reader },
        ) => {
            check_name(name, to, aliases, path)?;
            resolve_enum(to, variants, reader, path)?
        }
        _ => resolve_scalar(writer, reader, path)?,
    };
    Ok(DecodePlan { node })
}

fn one(element: DecodePlan) -> Node {
    if element.is_identity() { Node::Identity } else { Node::Element(Box::new(element)) }
}

fn check_arity(writer: usize, reader: usize, path: &Path) -> Result<(), EvolutionError> {
    match writer == reader {
        true => Ok(()),
        false => Err(path.refuse(EvolutionRefusal::Arity { writer, reader })),
    }
}

fn check_name(
    writer: &String,
    reader: &String,
    aliases: &[String],
    path: &Path,
) -> Result<(), EvolutionError> {
    if writer == reader || aliases.contains(writer) {
        return Ok(());
    }
    Err(path.refuse(EvolutionRefusal::TypeName { writer: writer.clone(), reader: reader.clone() }))
}

fn resolve_scalar(writer: &Schema, reader: &Schema, path: &Path) -> Result<Node, EvolutionError> {
    match (writer, reader) {
        _ if writer == reader => Ok(Node::Identity),
        (
            &Schema::Integer { bits, signed },
            &Schema::Integer { bits: read_bits, signed: read_signed },
        ) if bits < read_bits && (read_signed || !signed) => Ok(Node::Integer { bits, signed }),
        (Schema::Float { bits: 32 }, Schema::Float { bits: 64 }) => Ok(Node::Float),
        _ => Err(path.refuse(EvolutionRefusal::Kind {
            writer: writer.to_string(),
            reader: reader.to_string(),
        })),
    }
}

fn resolve_tuple(
    writer: &[Schema],
    reader: &[Schema],
    path: &mut Path,
) -> Result<Node, EvolutionError> {
    check_arity(writer.len(), reader.len(), path)?;
    let mut plans = Vec::with_capacity(reader.len());
    for (position, (writer, reader)) in writer.iter().zip(reader).enumerate() {
        let part = format!(".{position}");
        plans.push(path.within(&part, |path| resolve(writer, reader, path))?);
    }
    match plans.iter().all(DecodePlan::is_identity) {
        true => Ok(Node::Identity),
        false => Ok(Node::Tuple(plans)),
    }
}

/// Also tells whether the fields' bytes are laid out as the reader's.
fn resolve_fields(
    writer: &[FieldSchema],
    reader: &[FieldSchema],
    path: &mut Path,
) -> Result<(FieldsPlan, bool), EvolutionError> {
    // Current names first: the derive lets no other field claim one of them as its former name.
    let mut target: Vec<Option<usize>> = writer
        .iter()
        .map(|field| reader.iter().position(|candidate| candidate.name == field.name))
        .collect();
    for (index, field) in reader.iter().enumerate() {
        if target.contains(&Some(index)) {
            continue;
        }
        let old = (0..writer.len()).find(|&position| {
            target[position].is_none() && field.aliases.contains(&writer[position].name)
        });
        match old {
            Some(position) => target[position] = Some(index),
            None if field.has_default => {}
            None => {
                let part = format!(".{}", field.name);
                return Err(path.within(&part, |path| path.refuse(EvolutionRefusal::NoDefault)));
            }
        }
    }
    let mut steps = Vec::with_capacity(writer.len());
    for (field, target) in writer.iter().zip(&target) {
        steps.push(match target {
            Some(index) => {
                let part = format!(".{}", field.name);
                let schema = &reader[*index].schema;
                let plan = path.within(&part, |path| resolve(&field.schema, schema, path))?;
                Step::Field(*index, plan)
            }
            None => Step::Skip(field.schema.clone()),
        });
    }
    let same_fields = steps.len() == reader.len()
        && steps
            .iter()
            .enumerate()
            .all(|(position, step)| matches!(step, Step::Field(index, _) if *index == position));
    let identity = same_fields
        && steps.iter().all(|step| matches!(step, Step::Field(_, plan) if plan.is_identity()));
    Ok((FieldsPlan { steps, same_fields }, identity))
}

fn resolve_enum(
    type_name: &str,
    writer: &[VariantSchema],
    reader: &[VariantSchema],
    path: &mut Path,
) -> Result<Node, EvolutionError> {
    let mut identity = true;
    let mut variants = Vec::with_capacity(writer.len());
    for (position, variant) in writer.iter().enumerate() {
        let target = reader
            .iter()
            .position(|candidate| candidate.name == variant.name)
            .or_else(|| reader.iter().position(|new| new.aliases.contains(&variant.name)));
        let Some(index) = target else {
            identity = false;
            variants.push(VariantPlan::Removed(variant.name.clone()));
            continue;
        };
        let part = format!("::{}", variant.name);
        let (fields, same) = path
            .within(&part, |path| resolve_fields(&variant.fields, &reader[index].fields, path))?;
        identity &= same && index == position;
        variants.push(VariantPlan::Variant(index as u32, fields));
    }
    match identity {
        true => Ok(Node::Identity),
        false => Ok(Node::Enum { type_name: type_name.to_owned(), variants }),
    }
}

/// Reads over a value that the reader's type no longer has.
fn skip(schema: &Schema, input: &mut &[u8]) -> Result<(), DecodeError> {
    match schema {
        Schema::Bool | Schema::Integer { bits: 8, .. } => take_byte(input).map(drop),
        Schema::Integer { bits: 128, .. } => read_u128(input, "integer").map(drop),
        Schema::Integer { .. } | Schema::Char => read_u64(input, "integer").map(drop),
        Schema::Float { bits } => take(input, usize::from(bits / 8)).map(drop),
        Schema::String | Schema::Bytes | Schema::Opaque(_) => {
            let length = read_length(input)?;
            take(input, length).map(drop)
        }
        Schema::Option(inner) => match take_byte(input)? {
            0 => Ok(()),
            1 => skip(inner, input),
            found => Err(DecodeError::InvalidByte { type_name: "Option", found }),
        },
        Schema::List(element) | Schema::Set(element) => {
            let length = read_length(input)?;
            let before = input.len();
            skip_repeated(&[element], length, input)?;
            skip_padding(before, length, input)
        }
        Schema::Map { key, value } => {
            let length = read_length(input)?;
            let before = input.len();
            skip_repeated(&[key, value], length, input)?;
            skip_padding(before, length, input)
        }
        Schema::Array { element, length } => skip_repeated(&[element], *length, input),
        Schema::Tuple(elements) => elements.iter().try_for_each(|element| skip(element, input)),
        Schema::Struct { fields, .. } => skip_fields(fields, input),
        Schema::Enum { name, variants, .. } => {
            let index = read_variant(input)?;
            match variants.get(index as usize) {
                Some(variant) => skip_fields(&variant.fields, input),
                None => Err(DecodeError::UnknownVariant { type_name: name.clone(), index }),
            }
        }
    }
}

fn skip_fields(fields: &[FieldSchema], input: &mut &[u8]) -> Result<(), DecodeError> {
    fields.iter().try_for_each(|field| skip(&field.schema, input))
}

fn skip_repeated(parts: &[&Schema], times: usize, input: &mut &[u8]) -> Result<(), DecodeError> {
    if parts.iter().all(|part| part.is_empty()) {
        return Ok(());
    }
    for _ in 0..times {
        parts.iter().try_for_each(|part| skip(part, input))?;
    }
    Ok(())
}
