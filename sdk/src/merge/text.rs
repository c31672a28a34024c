//! Three-way merge of texts: by line first, and by word where both changed the same lines.
//!
//! Changes in different places are both made. Insertions at the same place are both kept, the remote one first. Where both
//! changed the same words the later edit stands; the caller keeps the other text whole.

use std::ops::Range;

use similar::{Algorithm, DiffOp, capture_diff_slices};

/// A merged text.
pub(super) struct MergedText {
    pub(super) merged: String,
    /// Whether something of the earlier edit is not in it.
    pub(super) conflicts: bool,
}

/// How finely a text is cut.
#[derive(Clone, Copy, PartialEq)]
enum Grain {
    Line,
    Word,
}

/// A change of one side: a range of the base, and what stands there instead.
struct Hunk {
    base: Range<usize>,
    side: Range<usize>,
}

pub(super) fn merge(base: &str, local: &str, remote: &str, local_is_later: bool) -> MergedText {
    let mut out = MergedText { merged: String::with_capacity(remote.len()), conflicts: false };
    merge_grain([base, local, remote], Grain::Line, local_is_later, &mut out);
    out
}

fn merge_grain([base, local, remote]: [&str; 3], grain: Grain, local_is_later: bool, out: &mut MergedText) {
    let [b, l, r] = [base, local, remote].map(|text| cut(text, grain));
    let (ours, theirs) = (hunks(&b, &l), hunks(&b, &r));
    let (mut ours, mut theirs) = (ours.into_iter().peekable(), theirs.into_iter().peekable());
    let mut at = 0;
    loop {
        // The next group of changes that overlap, of both sides. Insertions stand before a change that begins where they do.
        let first = [ours.peek(), theirs.peek()].into_iter().flatten();
        let Some((start, _)) = first.map(|hunk| (hunk.base.start, !hunk.base.is_empty())).min() else {
            break;
        };
        let (mut group, mut end) = ([Vec::new(), Vec::new()], start);
        let inserts = [ours.peek(), theirs.peek()]
            .into_iter()
            .flatten()
            .any(|hunk| hunk.base.start == start && hunk.base.is_empty());
        loop {
            let joins = |hunk: &Hunk| {
                if inserts {
                    hunk.base.start == start && hunk.base.is_empty()
                } else {
                    hunk.base.start == start || hunk.base.start < end
                }
            };
            if let Some(hunk) = ours.next_if(joins) {
                end = end.max(hunk.base.end);
                group[0].push(hunk);
            } else if let Some(hunk) = theirs.next_if(joins) {
                end = end.max(hunk.base.end);
                group[1].push(hunk);
            } else {
                break;
            }
        }
        push(&mut out.merged, &b[at..start]);
        let region = start..end;
        match &group {
            [ours, theirs] if theirs.is_empty() => push(&mut out.merged, &changed(&b, &l, ours, &region)),
            [ours, theirs] if ours.is_empty() => push(&mut out.merged, &changed(&b, &r, theirs, &region)),
            [ours, theirs] => {
                let sides = [changed(&b, &l, ours, &region), changed(&b, &r, theirs, &region)];
                both_changed(&b[region.clone()], &sides, grain, local_is_later, out);
            }
        }
        at = end;
    }
    push(&mut out.merged, &b[at..]);
}

/// A region that both sides have changed.
fn both_changed(
    base: &[&str],
    [local, remote]: &[Vec<&str>; 2],
    grain: Grain,
    local_is_later: bool,
    out: &mut MergedText,
) {
    if local == remote {
        push(&mut out.merged, local);
    } else if grain == Grain::Line && !base.is_empty() {
        let [base, local, remote] = [base.concat(), local.concat(), remote.concat()];
        merge_grain([&base, &local, &remote], Grain::Word, local_is_later, out);
    } else if base.is_empty() {
        push(&mut out.merged, remote);
        // Two lines that were added at the end of a text have no line break between them.
        if grain == Grain::Line && !out.merged.ends_with('\n') {
            out.merged.push('\n');
        }
        push(&mut out.merged, local);
    } else {
        push(&mut out.merged, if local_is_later { local } else { remote });
        out.conflicts = true;
    }
}

/// What a side has in a region of the base.
fn changed<'t>(base: &[&'t str], side: &[&'t str], hunks: &[Hunk], region: &Range<usize>) -> Vec<&'t str> {
    let (mut out, mut at) = (Vec::new(), region.start);
    for hunk in hunks {
        out.extend(&base[at..hunk.base.start]);
        out.extend(&side[hunk.side.clone()]);
        at = hunk.base.end;
    }
    out.extend(&base[at..region.end]);
    out
}

fn hunks(base: &[&str], side: &[&str]) -> Vec<Hunk> {
    let ops = capture_diff_slices(Algorithm::Myers, base, side);
    let changes = ops.into_iter().filter(|op| !matches!(op, DiffOp::Equal { .. }));
    changes.map(|op| Hunk { base: op.old_range(), side: op.new_range() }).collect()
}

/// Lines with their ends; or words, the spaces between them, and every other character by itself.
fn cut(text: &str, grain: Grain) -> Vec<&str> {
    match grain {
        Grain::Line => text.split_inclusive('\n').collect(),
        Grain::Word => {
            let class = |c: char| match c {
                c if c.is_alphanumeric() || c == '\'' || c == '’' => 0,
                c if c.is_whitespace() => 1,
                _ => 2,
            };
            let mut tokens = Vec::new();
            let mut rest = text;
            while let Some(first) = rest.chars().next() {
                let alike = |c: char| class(c) == class(first) && class(first) != 2;
                let end = rest.find(|c| !alike(c)).unwrap_or(rest.len()).max(first.len_utf8());
                let (token, after) = rest.split_at(end);
                tokens.push(token);
                rest = after;
            }
            tokens
        }
    }
}

fn push(out: &mut String, tokens: &[&str]) {
    out.extend(tokens.iter().copied());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn texts_merge_by_line_and_word() {
        // what, base, local, remote, merged (the remote edit is later), whether something is left out
        let table = [
            ("equal", "a", "a", "a", "a", false),
            ("local only", "a b", "a c", "a b", "a c", false),
            ("remote only", "a b", "a b", "a c", "a c", false),
            ("both alike", "a b", "a c", "a c", "a c", false),
            ("different lines", "1\n2\n3\n", "one\n2\n3\n", "1\n2\nthree\n", "one\n2\nthree\n", false),
            (
                "different words",
                "I feel good today",
                "I feel great today",
                "I feel good tonight",
                "I feel great tonight",
                false,
            ),
            ("the same word", "I feel good", "I feel great", "I feel bad", "I feel bad", true),
            ("both append lines", "a\n", "a\nours\n", "a\ntheirs\n", "a\ntheirs\nours\n", false),
            ("both begin", "", "ours", "theirs", "theirs\nours", false),
            ("both append words", "It was", "It was cold", "It was wet", "It was wet cold", false),
            ("delete and edit elsewhere", "1\n2\n3\n", "2\n3\n", "1\n2\n3!\n", "2\n3!\n", false),
            ("delete against edit", "a good day\n", "", "a very good day\n", "a very good day\n", true),
            ("insertion beside a deletion", "1\n2\n", "1\nnew\n2\n", "1\n", "1\nnew\n", false),
        ];
        for (what, base, local, remote, merged, conflicts) in table {
            let found = merge(base, local, remote, false);
            assert_eq!((found.merged.as_str(), found.conflicts), (merged, conflicts), "{what}");
        }
        assert_eq!(merge("I feel good", "I feel great", "I feel bad", true).merged, "I feel great");
    }

    #[test]
    fn a_text_is_cut_without_loss() {
        for text in ["", "a b", "don’t stop\n\n  now…", "日本語 text", "\u{1f469}\u{200d}\u{1f680} go"]
        {
            for grain in [Grain::Line, Grain::Word] {
                assert_eq!(cut(text, grain).concat(), text);
            }
        }
    }

    proptest! {
        #[test]
        fn any_texts_merge(base in "[ab \n]{0,20}", local in "[ab \n]{0,20}", remote in "[ab \n]{0,20}") {
            let merged = merge(&base, &local, &remote, true);
            if base == local {
                prop_assert_eq!(&merged.merged, &remote);
            }
            if base == remote || local == remote {
                prop_assert_eq!(&merged.merged, &local);
            }
        }

        /// Words that one side alone added are in the merged text, or that text is reported as left out.
        #[test]
        fn added_words_stay(
            base in proptest::collection::vec("[a-e]{1,3}", 0..12),
            ours in proptest::collection::vec((0_usize..12, "[x-z]{4}"), 0..4),
            theirs in proptest::collection::vec((0_usize..12, "[x-z]{5}"), 0..4),
        ) {
            let with = |added: &[(usize, String)]| {
                let mut words = base.clone();
                for (at, word) in added {
                    words.insert(*at % (words.len() + 1), word.clone());
                }
                words.join(" ")
            };
            let (local, remote) = (with(&ours), with(&theirs));
            let merged = merge(&base.join(" "), &local, &remote, true);
            for (_, word) in &ours {
                prop_assert!(merged.merged.contains(word.as_str()));
            }
            for (_, word) in &theirs {
                prop_assert!(merged.conflicts || merged.merged.contains(word.as_str()));
            }
        }
    }
}
