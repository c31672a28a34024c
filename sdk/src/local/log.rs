//! The chain as far as this device has verified it: 64 bytes a commit for ever, and the bytes of the newest ones.

use alcove_crypto::ids::{CommitHash, Head};
use alcove_crypto::space::chain::Chain;
use alcove_crypto::space::header::Place;
use rusqlite::OptionalExtension as _;

use super::Tx;
use super::locked::LockedPlace;
use super::values::PLACE;
use crate::error::{Error, Result};

const CHAIN: &str = "chain";

/// Commits whose bytes are kept, to give them back to a server that was restored from a backup.
const KEPT: u64 = 2_000;

/// A commit as the log knows it.
pub(crate) struct Logged {
    pub(crate) at: Place,
    pub(crate) hash: CommitHash,
    /// The newest account state that a commit up to here has named; 0 if it was not seen.
    pub(crate) named: u64,
    pub(crate) bytes: Option<Vec<u8>>,
}

impl Tx<'_> {
    /// Where this device is in its private space. Before an account there is no chain.
    pub(crate) fn chain(&self) -> Result<Option<Chain>> {
        let Some(bytes) = self.value::<Vec<u8>>(CHAIN)? else { return Ok(None) };
        let chain = Chain::from_trusted_bytes(&bytes);
        chain.map(Some).map_err(|error| Error::Corrupt(format!("the chain: {error}")))
    }

    pub(crate) fn set_chain(&self, chain: Option<&Chain>) -> Result<()> {
        let Some(chain) = chain else {
            self.unset_value(PLACE)?;
            return self.unset_value(CHAIN);
        };
        if let Some(account) = &self.session.account {
            let (at, origin) = (chain.at(), account.stored.origin.clone());
            let (account, space) = (*account.id().as_bytes(), *chain.space().as_bytes());
            self.set_value(
                PLACE,
                &LockedPlace { origin, account, space, seq: at.seq, head: *at.head.as_bytes() },
            )?;
        }
        self.set_value(CHAIN, &chain.to_bytes())
    }

    /// Adds a commit to the log.
    pub(crate) fn log(&self, commit: &Logged) -> Result<()> {
        self.sql
            .prepare_cached(
                "INSERT OR REPLACE INTO commits (seq, hash, head, named, bytes) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute((
                commit.at.seq.cast_signed(),
                commit.hash.as_bytes(),
                commit.at.head.as_bytes(),
                commit.named.cast_signed(),
                commit.bytes.as_deref(),
            ))?;
        if let Some(oldest) = commit.at.seq.checked_sub(KEPT) {
            self.sql
                .prepare_cached("UPDATE commits SET bytes = NULL WHERE seq = ?1")?
                .execute([oldest.cast_signed()])?;
        }
        Ok(())
    }

    /// A commit of the log.
    pub(crate) fn logged(&self, seq: u64) -> Result<Option<Logged>> {
        let mut statement =
            self.sql.prepare_cached("SELECT hash, head, named, bytes FROM commits WHERE seq = ?1")?;
        let row = statement.query_row([seq.cast_signed()], |row| {
            Ok(Logged {
                at: Place { seq, head: Head::new(row.get(1)?) },
                hash: CommitHash::new(row.get(0)?),
                named: row.get::<_, i64>(2)?.unsigned_abs(),
                bytes: row.get(3)?,
            })
        });
        Ok(row.optional()?)
    }

    /// Forgets what came after a place, or everything: the chain went another way there.
    pub(crate) fn forget_log_after(&self, seq: u64) -> Result<()> {
        self.sql.prepare_cached("DELETE FROM commits WHERE seq > ?1")?.execute([seq.cast_signed()])?;
        Ok(())
    }
}
