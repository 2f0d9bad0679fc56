//! The way to the server and back. What a batch has gathered goes along with what it asks, all statements in one round
//! trip; the begin and the fence go with the first.

use std::future::Future;
use std::pin::Pin;

use futures_util::future::join_all;
use tokio_postgres::Error;

use super::{Batch, Wire};
use crate::error::Step;
use crate::line::Line;
use crate::query::{Param, Params, Query};
use crate::rows::{self, Row};
use crate::writes::{Alone, Writes};

/// What a round trip ends with.
#[derive(Clone, Copy)]
enum Last<'a> {
    Nothing,
    /// A statement whose rows are wanted.
    Query(Query, Params<'a>),
    /// Two statements whose rows are wanted.
    Both((Query, Params<'a>), (Query, Params<'a>)),
    /// A statement whose count is wanted.
    Execute(Query, Params<'a>),
    Commit,
    /// The commit, and behind it a statement of its own whose rows are wanted.
    CommitAnd(Query, Params<'a>),
}

impl Last<'_> {
    const fn is_commit(&self) -> bool {
        matches!(self, Self::Commit | Self::CommitAnd(..))
    }
}

/// What the last of a round trip answered.
enum Answer {
    Rows(Vec<Row>),
    Both(Vec<Row>, Vec<Row>),
    Count(u64),
}

/// One request of a round trip.
type Part<'a> = Pin<Box<dyn Future<Output = Result<Answer, Error>> + Send + 'a>>;

impl Batch<'_> {
    /// The rows that a statement answers, after all that was gathered.
    pub(crate) async fn query(&mut self, query: Query, params: Params<'_>) -> Step<Vec<Row>> {
        match self.send(Last::Query(query, params)).await? {
            Answer::Rows(rows) => Ok(rows),
            Answer::Both(..) | Answer::Count(_) => Ok(Vec::new()),
        }
    }

    /// The rows that two statements answer, on one way to the server and back.
    pub(crate) async fn query_both(
        &mut self,
        first: (Query, Params<'_>),
        second: (Query, Params<'_>),
    ) -> Step<(Vec<Row>, Vec<Row>)> {
        match self.send(Last::Both(first, second)).await? {
            Answer::Both(first, second) => Ok((first, second)),
            Answer::Rows(_) | Answer::Count(_) => Ok((Vec::new(), Vec::new())),
        }
    }

    /// The rows that a statement answers, without beginning the transaction for it: what looks whether there is anything
    /// to do costs no commit when there is not.
    pub(crate) async fn peek(&mut self, query: Query, params: Params<'_>) -> Step<Vec<Row>> {
        match self.wire {
            Wire::Own(link, ..) if !self.begun && self.writes.is_empty() && link.is_direct() => {
                Ok(link.query(query, params).await?)
            }
            _ => self.query(query, params).await,
        }
    }

    /// How many rows were changed: by `alone` in a transaction of its own, where this batch has none yet and its wire
    /// allows that, else by `among_others` within the batch's. For what may be done twice, and needs no fence.
    pub(crate) async fn alone_or(&mut self, alone: Query, among_others: Query, params: Params<'_>) -> Step<u64> {
        match self.wire {
            Wire::Own(link, ..) if !self.begun && self.writes.is_empty() && link.is_direct() => {
                Ok(link.execute(alone, params).await?)
            }
            _ => self.execute(among_others, params).await,
        }
    }

    /// The one row that a statement answers, if it does.
    pub(crate) async fn row(&mut self, query: Query, params: Params<'_>) -> Step<Option<Row>> {
        Ok(self.query(query, params).await?.into_iter().next())
    }

    /// How many rows a statement changed, after all that was gathered.
    pub(crate) async fn execute(&mut self, query: Query, params: Params<'_>) -> Step<u64> {
        match self.send(Last::Execute(query, params)).await? {
            Answer::Count(count) => Ok(count),
            Answer::Rows(_) | Answer::Both(..) => Ok(0),
        }
    }

    /// Whether a statement answers any row.
    pub(crate) async fn exists(&mut self, query: Query, params: Params<'_>) -> Step<bool> {
        Ok(self.row(query, params).await?.is_some())
    }

    /// Sends what was gathered.
    pub(crate) async fn flush(&mut self) -> Step<()> {
        if self.writes.is_empty() { Ok(()) } else { self.send(Last::Nothing).await.map(drop) }
    }

    /// Ends the transaction; with it goes all that was gathered. A batch that wrote nothing needs none. What is asked
    /// behind it costs no trip of its own; it is answered as far as that went well and the connection allows it.
    pub(crate) async fn commit(&mut self, then: Option<(Query, Params<'_>)>) -> Step<Option<Vec<Row>>> {
        if !self.begun && self.writes.is_empty() {
            return Ok(None);
        }
        let last = match (then, self.wire) {
            (Some((query, params)), Wire::Own(link, ..)) if link.is_direct() => Last::CommitAnd(query, params),
            _ => Last::Commit,
        };
        match self.send(last).await? {
            Answer::Rows(rows) => Ok(Some(rows)),
            Answer::Both(..) | Answer::Count(_) => Ok(None),
        }
    }

    /// Whether the database may have been told anything at all.
    pub(crate) const fn has_begun(&self) -> bool {
        self.begun
    }

    /// One round trip: the begin and the fence where they are still due, what was gathered, then `last`.
    async fn send(&mut self, last: Last<'_>) -> Step<Answer> {
        let writes = std::mem::replace(&mut self.writes, Writes::new(self.now));
        let (link, fence, prelude) = match self.wire {
            Wire::Own(link, fence, prelude) => (link, fence, prelude),
            Wire::Users(theirs) => {
                for (query, params) in writes.statements() {
                    theirs.query(query.text(), &params).await?;
                }
                return Ok(match last {
                    Last::Query(query, params) => Answer::Rows(theirs.query(query.text(), params).await?),
                    Last::Both((first, its), (second, other)) => {
                        Answer::Both(theirs.query(first.text(), its).await?, theirs.query(second.text(), other).await?)
                    }
                    Last::Execute(query, params) => Answer::Count(theirs.execute(query.text(), params).await?),
                    Last::Nothing | Last::Commit | Last::CommitAnd(..) => Answer::Count(0),
                });
            }
        };
        let seen_at = self.now.as_micros();
        let mine: [&dyn Param; 4] = [&fence.instance, &fence.lane, &fence.generation, &fence.batch];
        let begin = !std::mem::replace(&mut self.begun, true);
        if begin
            && last.is_commit()
            && link.is_direct()
            && let Some(alone) = writes.alone()
        {
            let (query, params) = writes.statement_alone(alone, mine);
            link.prepare(query, &params).await?;
            let (done, answer) = match last {
                Last::CommitAnd(behind, its) => {
                    link.prepare(behind, its).await?;
                    let (done, rows) = tokio::join!(biased; link.query(query, &params), link.query(behind, its));
                    (done, rows.map_or(Answer::Count(0), Answer::Rows))
                }
                _ => (link.query(query, &params).await, Answer::Count(0)),
            };
            self.note_clock(&done?)?;
            return Ok(answer);
        }
        let mut statements = match writes.alone() {
            // Behind an end comes a claim: their time is what lies between two tasks of a limited function.
            Some(Alone::Finish) if begin => {
                let mut statements = vec![writes.statement_alone(Alone::Finish, mine)];
                statements.extend(writes.gates().map(|gates| (Query::GatesCheck, vec![gates])));
                statements
            }
            _ => {
                let mut statements = writes.statements();
                if begin {
                    statements.insert(0, (Query::Fence, [mine.as_slice(), &[&seen_at]].concat()));
                }
                statements
            }
        };
        let line = self.line.take().filter(|_| begin);
        if let Some(Line { executions, sessions, overdue_at, limit }) = &line {
            let whose: [&dyn Param; 6] = [&fence.instance, &fence.lane, executions, sessions, overdue_at, limit];
            statements.insert(0, (Query::FenceLine, whose.to_vec()));
        }
        for (query, params) in &statements {
            link.prepare(*query, params).await?;
        }
        match last {
            Last::Query(query, params) | Last::Execute(query, params) | Last::CommitAnd(query, params) => {
                link.prepare(query, params).await?;
            }
            Last::Both((first, its), (second, other)) => {
                link.prepare(first, its).await?;
                link.prepare(second, other).await?;
            }
            Last::Nothing | Last::Commit => {}
        }
        // Each is sent when it is first polled, in this order; the answers come in the same.
        let mut parts: Vec<Part<'_>> = Vec::new();
        let say = |text| async move { link.client().batch_execute(text).await.map(|()| Answer::Count(0)) };
        if begin {
            parts.push(Box::pin(say(prelude)));
        }
        for (query, params) in &statements {
            parts.push(Box::pin(async { link.query(*query, params).await.map(Answer::Rows) }));
        }
        match last {
            Last::Query(query, params) => {
                parts.push(Box::pin(async move { link.query(query, params).await.map(Answer::Rows) }));
            }
            Last::Both(first, second) => {
                for (query, params) in [first, second] {
                    parts.push(Box::pin(async move { link.query(query, params).await.map(Answer::Rows) }));
                }
            }
            Last::Execute(query, params) => {
                parts.push(Box::pin(async move { link.execute(query, params).await.map(Answer::Count) }));
            }
            Last::Commit => parts.push(Box::pin(say("COMMIT"))),
            Last::CommitAnd(query, params) => {
                parts.push(Box::pin(say("COMMIT")));
                parts.push(Box::pin(async move {
                    // What was committed does not depend on this.
                    Ok(link.query(query, params).await.map_or(Answer::Count(0), Answer::Rows))
                }));
            }
            Last::Nothing => {}
        }
        let mut answers = join_all(parts).await.into_iter().collect::<Result<Vec<_>, Error>>()?;
        let fenced = 1 + usize::from(line.is_some());
        if begin && let Some(Answer::Rows(rows)) = answers.get(fenced) {
            self.note_clock(rows)?;
        }
        let answer = answers.pop().unwrap_or(Answer::Count(0));
        Ok(match (last, answer, answers.pop()) {
            (Last::Both(..), Answer::Rows(second), Some(Answer::Rows(first))) => Answer::Both(first, second),
            (_, answer, _) => answer,
        })
    }

    fn note_clock(&mut self, rows: &[Row]) -> Step<()> {
        if let Some(row) = rows.first() {
            self.server_micros = Some(rows::get(row, 1)?);
        }
        Ok(())
    }

    /// Says something that answers nothing, in the transaction.
    pub(crate) async fn say(&mut self, text: &str) -> Step<()> {
        self.send(Last::Nothing).await?;
        if let Wire::Own(link, ..) = self.wire {
            link.client().batch_execute(text).await?;
        }
        Ok(())
    }
}
