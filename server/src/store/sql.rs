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

/// Numbers of rows that statements of many rows are made for, the largest first: every small one, since groups of pushes
/// have any size, and two large ones. Any number is the sum of a few of them.
pub(super) const BATCHES: [usize; 66] = {
    let mut sizes = [0; 66];
    (sizes[0], sizes[1]) = (256, 128);
    let mut i = 2;
    while i < 66 {
        sizes[i] = 66 - i;
        i += 1;
    }
    sizes
};

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
        }
    }
}
