//! Parts of the model that can be left out, to see whether they help. The product leaves out none.

use std::fmt;

use crate::condition::Row;

/// A part of the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Whether what was done is at fault: without it every deed is, whether it did harm or not.
    Latent,
    /// What nobody saw: without it the first that is suffered is the beginning.
    Unseen,
    /// How much of what is suffered a cause explains: without it the end of one instance of several is the end of all.
    Dose,
}

impl Part {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Latent, Self::Unseen, Self::Dose];

    /// The row as a model has it that lacks this part.
    pub(super) fn leave_out(self, row: &mut Row) {
        match self {
            Self::Latent => row.at_fault = 1.0,
            Self::Unseen => row.symptom = None,
            Self::Dose => {}
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Latent => "the latent",
            Self::Unseen => "\"not observed\"",
            Self::Dose => "the dose",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::RuleBook;

    /// How many rows say so of a model that lacks this.
    fn rows(part: Option<Part>, is: fn(&Row) -> bool) -> usize {
        let book = RuleBook::load_without(None, part).unwrap();
        let rows = book.catalogue.rows();
        rows.filter(|(_, row)| is(row)).count()
    }

    #[test]
    fn without_the_latent_every_deed_is_at_fault_and_with_it_none_is_for_sure() {
        let is_sure = |row: &Row| row.at_fault >= 1.0;
        let all = rows(None, |_| true);
        assert_eq!((rows(Some(Part::Latent), is_sure), rows(None, is_sure)), (all, 0));
    }

    #[test]
    fn without_what_nobody_saw_nothing_is_a_mere_symptom() {
        let is_symptom = |row: &Row| row.symptom.is_some();
        assert_eq!(rows(Some(Part::Unseen), is_symptom), 0);
        assert!(rows(None, is_symptom) > 5 && rows(Some(Part::Dose), is_symptom) > 5);
    }

    #[test]
    fn the_product_lacks_nothing() {
        let book = RuleBook::embedded().unwrap();
        assert!(Part::ALL.iter().all(|part| !book.lacks(*part)));
        let book = RuleBook::load_without(None, Some(Part::Dose)).unwrap();
        assert!(book.lacks(Part::Dose) && !book.lacks(Part::Latent));
    }
}
