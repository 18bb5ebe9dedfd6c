//! Truths and hand-written incidents against the rows that they give.
