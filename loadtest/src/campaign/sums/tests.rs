//! Rows and costs against their bounds.
