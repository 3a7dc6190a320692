//! `Record` for options, lists and arrays. Not here: maps and sets.

use std::collections::VecDeque;

use super::varint::{first_capacity, read_length, skip_padding, take_byte, write_length};
use super::{DecodeError, DecodePlan, Record, Schema};

impl<T: Record> Record for Option<T> {
    const OWNS_HEAP: bool = T::OWNS_HEAP;

    fn schema() -> Schema {
        Schema::Option(Box::new(T::schema()))
    }

    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            None => out.push(0),
            Some(value) => {
                out.push(1);
                value.encode(out);
            }
        }
    }

    #[inline]
    fn decode(input: &mut &[u8]) -> Result<Self, DecodeError> {
        match take_byte(input)? {
            0 => Ok(None),
            1 => T::decode(input).map(Some),
            found => Err(DecodeError::InvalidByte { type_name: "Option", found }),
        }
    }

    fn decode_evolved(plan: &DecodePlan, input: &mut &[u8]) -> Result<Self, DecodeError> {
        if plan.is_identity() {
            return Self::decode(input);
        }
        if let Some(plan) = plan.within_some() {
            return T::decode_evolved(plan, input).map(Some);
        }
        let plan = plan.element("Option")?;
        match take_byte(input)? {
            0 => Ok(None),
            1 => T::decode_evolved(plan, input).map(Some),
            found => Err(DecodeError::InvalidByte { type_name: "Option", found }),
        }
    }

    #[inline]
    fn heap_size(&self) -> usize {
        if !T::OWNS_HEAP {
            return 0;
        }
        self.as_ref().map_or(0, Record::heap_size)
    }
}

/// What the items own, without the list's own memory.
#[inline]
fn items_heap_size<'a, T: Record>(items: impl IntoIterator<Item = &'a T>) -> usize {
    if !T::OWNS_HEAP {
        return 0;
    }
    items.into_iter().map(Record::heap_size).sum()
}

/// A list's length and elements by the elements' plan.
fn decode_list_evolved<T: Record>(
    plan: &DecodePlan,
    input: &mut &[u8],
) -> Result<Vec<T>, DecodeError> {
    let length = read_length(input)?;
    if plan.is_identity() {
        return T::decode_items(length, input);
    }
    let plan = plan.element("list")?;
    let before = input.len();
    let mut items = Vec::with_capacity(first_capacity::<T>(length, input));
    for _ in 0..length {
        items.push(T::decode_evolved(plan, input)?);
    }
    skip_padding(before, length, input)?;
    Ok(items)
}

impl<T: Record> Record for Vec<T> {
    const OWNS_HEAP: bool = true;

    fn schema() -> Schema {
        T::list_schema()
    }

    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        write_length(self.len(), out);
        T::encode_items(self, out);
    }

    #[inline]
    fn decode(input: &mut &[u8]) -> Result<Self, DecodeError> {
        let length = read_length(input)?;
        T::decode_items(length, input)
    }

    fn decode_evolved(plan: &DecodePlan, input: &mut &[u8]) -> Result<Self, DecodeError> {
        decode_list_evolved(plan, input)
    }

    #[inline]
    fn heap_size(&self) -> usize {
        self.capacity() * size_of::<T>() + items_heap_size(self)
    }

    #[inline]
    fn heap_address(&self) -> Option<*const u8> {
        Some(self.as_ptr().cast())
    }
}

impl<T: Record> Record for VecDeque<T> {
    const OWNS_HEAP: bool = true;

    fn schema() -> Schema {
        T::list_schema()
    }

    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        write_length(self.len(), out);
        let (front, back) = self.as_slices();
        T::encode_items(front, out);
        T::encode_items(back, out);
    }

    #[inline]
    fn decode(input: &mut &[u8]) -> Result<Self, DecodeError> {
        Vec::decode(input).map(VecDeque::from)
    }

    fn decode_evolved(plan: &DecodePlan, input: &mut &[u8]) -> Result<Self, DecodeError> {
        decode_list_evolved(plan, input).map(VecDeque::from)
    }

    #[inline]
    fn heap_size(&self) -> usize {
        self.capacity() * size_of::<T>() + items_heap_size(self)
    }
}

impl<T: Record, const N: usize> Record for [T; N] {
    const OWNS_HEAP: bool = T::OWNS_HEAP;

    fn schema() -> Schema {
        Schema::Array { element: Box::new(T::schema()), length: N }
    }

    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        self.iter().for_each(|item| item.encode(out));
    }

    #[inline]
    fn decode(input: &mut &[u8]) -> Result<Self, DecodeError> {
        decode_array(input, T::decode)
    }

    fn decode_evolved(plan: &DecodePlan, input: &mut &[u8]) -> Result<Self, DecodeError> {
        if plan.is_identity() {
            return Self::decode(input);
        }
        let plan = plan.element("array")?;
        decode_array(input, |input| T::decode_evolved(plan, input))
    }

    #[inline]
    fn heap_size(&self) -> usize {
        items_heap_size(self)
    }
}

#[inline]
fn decode_array<T: Record, const N: usize>(
    input: &mut &[u8],
    mut next: impl FnMut(&mut &[u8]) -> Result<T, DecodeError>,
) -> Result<[T; N], DecodeError> {
    if T::OWNS_HEAP || N == 0 {
        let items = (0..N).map(|_| next(input)).collect::<Result<Vec<T>, _>>()?;
        return items.try_into().map_err(|_| DecodeError::PlanMismatch { type_name: "array" });
    }
    // Without heap memory a copy is cheap: it stands in for what comes after an error, so that
    // the array needs no allocation.
    let first = next(input)?;
    let mut error = None;
    let items = std::array::from_fn(|position| {
        if position == 0 || error.is_some() {
            return first.clone();
        }
        next(input).unwrap_or_else(|failure| {
            error = Some(failure);
            first.clone()
        })
    });
    match error {
        None => Ok(items),
        Some(error) => Err(error),
    }
}
