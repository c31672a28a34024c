//! Statements that know how many parameters they take.
//!
//! A driver may bind what is missing as NULL without a word, so the number stands beside each statement and is compared,
//! when it is compiled, with its text and with what is bound to it.

/// A statement with `N` parameters, `$1` to `$N`.
pub(super) struct Sql<const N: usize>(pub(super) &'static str);

impl<const N: usize> Sql<N> {
    /// Checks the text against `N`.
    pub(super) const fn new(text: &'static str) -> Self {
        assert!(parameters(text) == N, "the statement has another number of parameters");
        Self(text)
    }
}

/// The highest `$n` in a text.
pub(super) const fn parameters(text: &str) -> usize {
    let bytes = text.as_bytes();
    let (mut i, mut highest) = (0, 0);
    while i < bytes.len() {
        if bytes[i] == b'$' {
            let mut n = 0;
            i += 1;
            while i < bytes.len() && bytes[i].is_ascii_digit() {
                n = n * 10 + (bytes[i] - b'0') as usize;
                i += 1;
            }
            if n > highest {
                highest = n;
            }
        } else {
            i += 1;
        }
    }
    highest
}

/// Declares statements, and `STATEMENTS` with the text of all of them.
macro_rules! statements {
    ($($(#[$doc:meta])* $name:ident: $count:literal = $text:expr;)*) => {
        $($(#[$doc])* const $name: crate::store::sql::Sql<$count> = crate::store::sql::Sql::new($text);)*
        pub(super) const STATEMENTS: &[&str] = &[$($name.0),*];
    };
}

/// A statement with its parameters bound, as many as it takes.
macro_rules! bind {
    ($statement:expr $(, $argument:expr)* $(,)?) => {{
        const _: &crate::store::sql::Sql<{ <[&str]>::len(&[$(stringify!($argument)),*]) }> = &$statement;
        sqlx::query::<super::Db>($statement.0)$(.bind($argument))*
    }};
}

/// Placeholders of so many rows of so many columns: `($1,$2),($3,$4)`.
pub(super) fn rows(rows: usize, columns: usize) -> String {
    typed_rows(rows, columns, "")
}

/// The same, with a type behind each.
pub(super) fn typed_rows(rows: usize, columns: usize, type_name: &str) -> String {
    let mut text = String::with_capacity(rows * columns * 6);
    for row in 0..rows {
        for column in 0..columns {
            text.push_str(if column > 0 {
                ","
            } else if row > 0 {
                ",("
            } else {
                "("
            });
            text.push('$');
            text.push_str(&(row * columns + column + 1).to_string());
            text.push_str(type_name);
        }
        text.push(')');
    }
    text
}

/// Numbers of rows that statements of many rows are made for. Any number is the sum of a few of them, so that a few prepared
/// statements serve all.
pub(super) const BATCHES: [usize; 5] = [256, 64, 16, 4, 1];

/// Cuts a slice into batches, each with the index of its size in [`BATCHES`].
pub(super) fn batches<T>(mut all: &[T]) -> impl Iterator<Item = (usize, &[T])> {
    std::iter::from_fn(move || {
        let (index, size) = BATCHES.iter().enumerate().find(|(_, size)| **size <= all.len())?;
        let (batch, rest) = all.split_at(*size);
        all = rest;
        Some((index, batch))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_counted() {
        assert_eq!(parameters("SELECT 1"), 0);
        assert_eq!(parameters("SELECT $2, $10, $1"), 10);
        assert_eq!(rows(2, 2), "($1,$2),($3,$4)");
        assert_eq!(parameters(&rows(256, 5)), 1280);
    }

    #[test]
    fn batches_cover_everything_in_order() {
        for len in [0, 1, 3, 4, 5, 255, 256, 257, 1000] {
            let all: Vec<_> = (0..len).collect();
            let joined: Vec<_> = batches(&all)
                .flat_map(|(index, batch)| {
                    assert_eq!(batch.len(), BATCHES[index]);
                    batch.to_vec()
                })
                .collect();
            assert_eq!(joined, all);
        }
    }
}
