//! The order across sorted pieces: a heap of their heads.

use super::chunk::{Chunk, Head};

/// Sorted pieces, read as one sequence.
#[derive(Debug, Default)]
pub(crate) struct Merge {
    chunks: Vec<Chunk>,
    /// Numbers of the pieces that aren't exhausted; the one with the lowest key is first.
    heap: Vec<usize>,
}

impl Merge {
    /// Of pieces that are sorted.
    pub(crate) fn new(chunks: Vec<Chunk>) -> Merge {
        let heap = (0..chunks.len()).filter(|chunk| chunks[*chunk].head().is_some()).collect();
        let mut merge = Merge { chunks, heap };
        for place in (0..merge.heap.len() / 2).rev() {
            merge.sink(place);
        }
        merge
    }

    /// The pieces, with the items that haven't been taken.
    pub(crate) fn into_chunks(self) -> Vec<Chunk> {
        self.chunks
    }

    /// The item with the lowest key.
    pub(crate) fn head(&self) -> Option<Head<'_>> {
        self.chunks[*self.heap.first()?].head()
    }

    /// Goes on to the next item.
    pub(crate) fn advance(&mut self) {
        let Some(first) = self.heap.first() else { return };
        let chunk = &mut self.chunks[*first];
        chunk.advance();
        if chunk.head().is_none() {
            *chunk = Chunk::default();
            self.heap.swap_remove(0);
        }
        self.sink(0);
    }

    /// Lets the piece at this place of the heap sink to where it belongs.
    fn sink(&mut self, mut place: usize) {
        loop {
            let mut least = place;
            for child in [2 * place + 1, 2 * place + 2] {
                if child < self.heap.len() && self.is_before(child, least) {
                    least = child;
                }
            }
            if least == place {
                return;
            }
            self.heap.swap(place, least);
            place = least;
        }
    }

    fn is_before(&self, a: usize, b: usize) -> bool {
        self.chunks[self.heap[a]].is_before(&self.chunks[self.heap[b]])
    }
}
