//! A table whose rows are named by their number and never go away.

use std::ops::{Index, IndexMut};

/// Rows by number.
#[derive(Debug, Clone)]
pub(super) struct Arena<T>(Vec<T>);

impl<T> Default for Arena<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Arena<T> {
    /// Adds a row; gives its number.
    pub(super) fn add(&mut self, row: T) -> usize {
        self.0.push(row);
        self.0.len() - 1
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn iter(&self) -> std::slice::Iter<'_, T> {
        self.0.iter()
    }

    pub(super) fn iter_mut(&mut self) -> std::slice::IterMut<'_, T> {
        self.0.iter_mut()
    }

    /// Every number.
    pub(super) fn ids(&self) -> std::ops::Range<usize> {
        0..self.0.len()
    }
}

impl<T> FromIterator<T> for Arena<T> {
    fn from_iter<I: IntoIterator<Item = T>>(rows: I) -> Self {
        Self(rows.into_iter().collect())
    }
}

impl<T> Index<usize> for Arena<T> {
    type Output = T;

    #[expect(
        clippy::indexing_slicing,
        reason = "numbers come from `add` of the same table alone"
    )]
    fn index(&self, id: usize) -> &T {
        &self.0[id]
    }
}

impl<T> IndexMut<usize> for Arena<T> {
    #[expect(
        clippy::indexing_slicing,
        reason = "numbers come from `add` of the same table alone"
    )]
    fn index_mut(&mut self, id: usize) -> &mut T {
        &mut self.0[id]
    }
}
