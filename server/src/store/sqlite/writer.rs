//! The one connection that writes, and the group commit: whatever waits while a transaction is made durable goes into the
//! next one together.
//!
//! Work of other kinds runs inside a savepoint, so that what is refused leaves nothing; pushes decide before they write and
//! need none. When a group fails as a whole, each of it is tried alone: nobody fails for what another has sent.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use sqlx::Connection as _;
use sqlx::sqlite::SqliteConnectOptions;
use tokio::sync::{mpsc, oneshot};

use super::{Connection, queries};
use crate::metrics::Metrics;
use crate::store::{Options, Push, Refusal, StoreError};

type Result<T, E = StoreError> = std::result::Result<T, E>;

/// Jobs that may wait, and bytes of pushes that go into one transaction.
const QUEUE_MAX: usize = 512;
const GROUP_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Free pages that one step gives back to the disk.
const VACUUM_PAGES: &str = "PRAGMA incremental_vacuum(256)";

pub(super) struct Writer {
    jobs: mpsc::Sender<Job>,
}

enum Job {
    Push(Arc<Push>, oneshot::Sender<Result<()>>),
    Work(Box<dyn Work>),
    Tidy(oneshot::Sender<Result<bool>>),
    Shut(oneshot::Sender<()>),
}

/// A verb with its answer, whose type the writer need not know.
trait Work: Send {
    /// Does it, for the first or another time. What is refused is to be rolled back.
    fn run<'c>(&'c mut self, connection: &'c mut Connection) -> BoxFuture<'c, Result<Verdict>>;
    /// Answers: what it gave, or why it could not be made durable.
    fn answer(self: Box<Self>, durable: Result<()>);
}

#[derive(PartialEq)]
enum Verdict {
    Done,
    Refused,
}

struct Verb<T, F> {
    work: F,
    result: Option<Result<T>>,
    reply: oneshot::Sender<Result<T>>,
}

impl<T, F> Work for Verb<T, F>
where
    T: Send,
    F: for<'c> Fn(&'c mut Connection) -> BoxFuture<'c, Result<T>> + Send + Sync,
{
    fn run<'c>(&'c mut self, connection: &'c mut Connection) -> BoxFuture<'c, Result<Verdict>> {
        Box::pin(async move {
            let (result, verdict) = match (self.work)(connection).await {
                Ok(answer) => (Ok(answer), Verdict::Done),
                Err(StoreError::Refused(refusal)) => (Err(refusal.into()), Verdict::Refused),
                Err(failure) => return Err(failure),
            };
            self.result = Some(result);
            Ok(verdict)
        })
    }

    fn answer(self: Box<Self>, durable: Result<()>) {
        let Self { result, reply, .. } = *self;
        let result = match durable {
            Ok(()) => result.unwrap_or(Err(StoreError::Unexpected("a verb without an answer"))),
            Err(failure) => Err(failure),
        };
        // Who asked may have gone away.
        drop(reply.send(result));
    }
}

impl Writer {
    pub(super) fn start(connection: Connection, connect: SqliteConnectOptions, options: &Options) -> Self {
        let (jobs, queue) = mpsc::channel(QUEUE_MAX);
        let (group_max, metrics) = (options.group_max.max(1), options.metrics.clone());
        tokio::spawn(Loop { connection, connect, group_max, metrics }.run(queue));
        Self { jobs }
    }

    pub(super) async fn push(&self, push: Arc<Push>) -> Result<()> {
        self.ask(|reply| Job::Push(push, reply)).await?
    }

    pub(super) async fn write<T, F>(&self, verb: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'c> Fn(&'c mut Connection) -> BoxFuture<'c, Result<T>> + Send + Sync + 'static,
    {
        self.ask(|reply| Job::Work(Box::new(Verb { work: verb, result: None, reply }))).await?
    }

    /// Gives some free pages back; whether there are more.
    pub(super) async fn tidy(&self) -> Result<bool> {
        self.ask(Job::Tidy).await?
    }

    pub(super) async fn shut(&self) {
        drop(self.ask(Job::Shut).await);
    }

    async fn ask<T>(&self, job: impl FnOnce(oneshot::Sender<T>) -> Job) -> Result<T> {
        let gone = || StoreError::Unavailable("the database is shut".into());
        let (reply, answer) = oneshot::channel();
        self.jobs.send(job(reply)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())
    }
}

struct Loop {
    connection: Connection,
    connect: SqliteConnectOptions,
    group_max: usize,
    metrics: Arc<Metrics>,
}

/// What shares a transaction.
#[derive(Default)]
struct Group {
    work: Vec<Box<dyn Work>>,
    pushes: Vec<(Arc<Push>, oneshot::Sender<Result<()>>)>,
}

impl Loop {
    async fn run(mut self, mut queue: mpsc::Receiver<Job>) {
        let mut next = None;
        loop {
            let first = match next.take() {
                Some(job) => job,
                None => match queue.recv().await {
                    Some(job) => job,
                    None => break,
                },
            };
            let mut group = Group::default();
            let (mut spaces, mut bytes, mut job) = (HashSet::new(), 0, Some(first));
            while let Some(one) = job.take() {
                match one {
                    // The second push to a space must see the first.
                    Job::Push(push, reply) if spaces.insert(push.space) => {
                        bytes += push
                            .changes
                            .iter()
                            .filter_map(|change| change.record.as_ref())
                            .map(Vec::len)
                            .sum::<usize>();
                        group.pushes.push((push, reply));
                    }
                    Job::Work(work) => group.work.push(work),
                    other => {
                        next = Some(other);
                        break;
                    }
                }
                if group.len() < self.group_max && bytes < GROUP_BYTES_MAX {
                    job = queue.try_recv().ok();
                }
            }
            if group.len() > 0 {
                self.metrics.group_committed(group.len());
                self.commit(group).await;
            }
            match next.take() {
                Some(Job::Tidy(reply)) => drop(reply.send(self.tidy().await)),
                Some(Job::Shut(reply)) => {
                    // Folds the log into the database: what is left on the disk is one file.
                    drop(self.connection.close().await);
                    reply.send(()).ok();
                    return;
                }
                other => next = other,
            }
        }
    }

    /// Makes a group durable and answers; if it fails, each of it alone.
    async fn commit(&mut self, mut group: Group) {
        let failure = match self.attempt(&mut group).await {
            Ok(verdicts) => return group.answer(verdicts),
            Err(failure) => failure,
        };
        self.recover().await;
        match failure {
            // Another process writes, or the disk fails: each alone would wait as long.
            StoreError::Unavailable(why) => {
                return group.alone().for_each(|one| one.fail(StoreError::Unavailable(why.clone())));
            }
            failure if group.len() == 1 => return group.fail(failure),
            _ => {}
        }
        tracing::warn!(size = group.len(), "a group failed; each of it is tried alone");
        for mut one in group.alone() {
            match self.attempt(&mut one).await {
                Ok(verdicts) => one.answer(verdicts),
                Err(failure) => {
                    self.recover().await;
                    one.fail(failure);
                }
            }
        }
    }

    async fn attempt(&mut self, group: &mut Group) -> Result<Vec<Result<(), Refusal>>> {
        let connection = &mut self.connection;
        execute(connection, "BEGIN IMMEDIATE").await?;
        for work in &mut group.work {
            execute(connection, "SAVEPOINT work").await?;
            if work.run(connection).await? == Verdict::Refused {
                execute(connection, "ROLLBACK TO work").await?;
            }
            execute(connection, "RELEASE work").await?;
        }
        let pushes: Vec<_> = group.pushes.iter().map(|(push, _)| push.clone()).collect();
        let verdicts = queries::push::push(connection, &pushes).await?;
        execute(connection, "COMMIT").await?;
        Ok(verdicts)
    }

    /// Leaves a failed transaction; if even that fails, the connection is made anew.
    async fn recover(&mut self) {
        // Some failures have rolled back already, and then this fails without harm.
        drop(execute(&mut self.connection, "ROLLBACK").await);
        if execute(&mut self.connection, "BEGIN IMMEDIATE").await.is_ok()
            && execute(&mut self.connection, "ROLLBACK").await.is_ok()
        {
            return;
        }
        match Connection::connect_with(&self.connect).await {
            Ok(connection) => self.connection = connection,
            Err(error) => {
                tracing::error!(%error, "the database cannot be opened again");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }

    async fn tidy(&mut self) -> Result<bool> {
        execute(&mut self.connection, VACUUM_PAGES).await?;
        let (free,): (i64,) = sqlx::query_as("PRAGMA freelist_count").fetch_one(&mut self.connection).await?;
        Ok(free > 0)
    }
}

async fn execute(connection: &mut Connection, statement: &'static str) -> Result<()> {
    sqlx::query(statement).execute(connection).await?;
    Ok(())
}

impl Group {
    fn len(&self) -> usize {
        self.work.len() + self.pushes.len()
    }

    fn answer(self, verdicts: Vec<Result<(), Refusal>>) {
        for work in self.work {
            work.answer(Ok(()));
        }
        for ((_, reply), verdict) in self.pushes.into_iter().zip(verdicts) {
            drop(reply.send(verdict.map_err(StoreError::from)));
        }
    }

    /// Only for a group of one.
    fn fail(self, failure: StoreError) {
        match (self.work.into_iter().next(), self.pushes.into_iter().next()) {
            (Some(work), _) => work.answer(Err(failure)),
            (None, Some((_, reply))) => drop(reply.send(Err(failure))),
            (None, None) => {}
        }
    }

    fn alone(self) -> impl Iterator<Item = Self> {
        let work = self.work.into_iter().map(|work| Self { work: vec![work], pushes: vec![] });
        work.chain(self.pushes.into_iter().map(|push| Self { work: vec![], pushes: vec![push] }))
    }
}
