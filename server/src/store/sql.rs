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

/// The highest `$n` in a text, or the number of its `?`.
pub(super) const fn parameters(text: &str) -> usize {
    let bytes = text.as_bytes();
    let (mut i, mut highest) = (0, 0);
    while i < bytes.len() {
        if bytes[i] == b'?' {
            highest += 1;
            i += 1;
        } else if bytes[i] == b'$' {
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

/// Placeholders of so many rows of so many columns: `($1,$2),($3,$4)`, or `(?,?),(?,?)`.
pub(super) fn rows(rows: usize, columns: usize, place: fn(usize) -> String) -> String {
    let row = |row| {
        let places: Vec<_> = (1..=columns).map(|column| place(row * columns + column)).collect();
        format!("({})", places.join(","))
    };
    (0..rows).map(row).collect::<Vec<_>>().join(",")
}

/// Numbers of rows that statements of many rows are made for. Any number is the sum of a few of them, so that a few prepared
/// statements serve all.
pub(super) const BATCHES: [usize; 9] = [256, 128, 64, 32, 16, 8, 4, 2, 1];

/// Cuts a slice into batches, each with the index of its size in [`BATCHES`].
pub(super) fn batches<T>(mut all: &[T]) -> impl Iterator<Item = (usize, &[T])> {
    std::iter::from_fn(move || {
        let (index, size) = BATCHES.iter().enumerate().find(|(_, size)| **size <= all.len())?;
        let (batch, rest) = all.split_at(*size);
        all = rest;
        Some((index, batch))
    })
}

/// The same for questions, which may be asked twice: the last batch is filled with its last item, so that fewer are needed.
pub(super) fn padded_batches<T>(all: &[T]) -> impl Iterator<Item = (usize, impl Iterator<Item = &T>)> {
    all.chunks(BATCHES[0]).filter_map(|batch| {
        let size = batch.len().next_power_of_two();
        let index = BATCHES.iter().position(|known| *known == size)?;
        let last = batch.last()?;
        Some((index, batch.iter().chain(std::iter::repeat_n(last, size - batch.len()))))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_counted() {
        assert_eq!(parameters("SELECT 1"), 0);
        assert_eq!(parameters("SELECT $2, $10, $1"), 10);
        assert_eq!(rows(2, 2, |n| format!("${n}")), "($1,$2),($3,$4)");
        assert_eq!(parameters(&rows(256, 5, |_| "?".into())), 1280);
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
            let asked: Vec<_> = padded_batches(&all)
                .flat_map(|(index, batch)| {
                    let batch: Vec<_> = batch.copied().collect();
                    assert_eq!(batch.len(), BATCHES[index]);
                    batch
                })
                .collect();
            assert!(asked.len() < 2 * all.len().max(1));
            assert_eq!(
                asked.into_iter().collect::<std::collections::BTreeSet<_>>(),
                all.into_iter().collect()
            );
        }
    }
}
