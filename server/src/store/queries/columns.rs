//! Columns as the types that they hold; what does not fit is an error of its own, never a panic.

use sqlx::Row as _;

use super::{Result, Row};
use crate::store::StoreError;

/// Reads one row.
pub(super) trait Columns {
    /// A byte string.
    fn bytes(&self, column: usize) -> Result<Vec<u8>>;
    /// A byte string or nothing.
    fn bytes_or_null(&self, column: usize) -> Result<Option<Vec<u8>>>;
    /// A text.
    fn text(&self, column: usize) -> Result<String>;
    /// A number that is not negative.
    fn number<T: TryFrom<i64>>(&self, column: usize) -> Result<T>;
    /// A number that is not negative, or nothing.
    fn number_or_null<T: TryFrom<i64>>(&self, column: usize) -> Result<Option<T>>;
    /// A byte string of fixed length.
    fn fixed<T: From<[u8; N]>, const N: usize>(&self, column: usize) -> Result<T> {
        let bytes: Result<[u8; N], _> = self.bytes(column)?.try_into();
        bytes.map(T::from).map_err(|_| StoreError::Unexpected("an id of another length"))
    }
}

impl Columns for Row {
    fn bytes(&self, column: usize) -> Result<Vec<u8>> {
        self.try_get(column).map_err(StoreError::Database)
    }

    fn bytes_or_null(&self, column: usize) -> Result<Option<Vec<u8>>> {
        self.try_get(column).map_err(StoreError::Database)
    }

    fn text(&self, column: usize) -> Result<String> {
        self.try_get(column).map_err(StoreError::Database)
    }

    fn number<T: TryFrom<i64>>(&self, column: usize) -> Result<T> {
        self.number_or_null(column)?.ok_or(StoreError::Unexpected("a number that is missing"))
    }

    fn number_or_null<T: TryFrom<i64>>(&self, column: usize) -> Result<Option<T>> {
        let number: Option<i64> = self.try_get(column).map_err(StoreError::Database)?;
        let fit = number.map(T::try_from).transpose();
        fit.map_err(|_| StoreError::Unexpected("a number out of its range"))
    }
}

/// A number as both databases store it. What does not fit is held at the highest that does.
pub(super) fn stored(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
