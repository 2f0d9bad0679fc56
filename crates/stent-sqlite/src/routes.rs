//! The routes as this process knows them: a (queue, function, tag set) is a number, numbers are only ever added. What
//! a worker's `Serve` accepts is worked out once for each route, so a claim compares numbers, not names.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::params;
use stent_core::{Name, Serve};

use crate::error::Step;
use crate::query::{Query, Statements};

/// How many different `Serve`s are remembered: a process has one for each of its workers.
const SERVES: usize = 32;

/// A route that the store has numbered.
#[derive(Debug, Clone)]
pub(crate) struct Route {
    pub(crate) queue: Name,
    pub(crate) function: Name,
    pub(crate) tags: Vec<Name>,
}

/// The routes of one queue and function by their tag sets, which are few.
type Tagged = Vec<(Vec<Name>, i64)>;

/// The routes a worker accepts among those with numbers up to `known`.
struct Accepted {
    serve: Arc<Serve>,
    known: i64,
    /// In growing order.
    ids: Vec<i64>,
}

/// The cache of a connection. Emptied when a transaction is rolled back, since its routes are gone then.
#[derive(Default)]
pub(crate) struct Routes {
    by_id: HashMap<i64, Route>,
    /// By queue, then function: found without a copy of any name.
    by_name: HashMap<Name, HashMap<Name, Tagged>>,
    /// All routes with numbers up to this are in `by_id`.
    known: i64,
    accepted: Vec<Accepted>,
}

impl Routes {
    /// Forgets everything; the next use reads it again.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    fn remember(&mut self, id: i64, route: Route) {
        let functions = self.by_name.entry(route.queue.clone()).or_default();
        let tags = functions.entry(route.function.clone()).or_default();
        if !tags.iter().any(|(_, known)| *known == id) {
            tags.push((route.tags.clone(), id));
        }
        self.by_id.insert(id, route);
    }

    /// Reads the routes that were numbered since the last look.
    fn refresh(&mut self, sql: &mut Statements<'_>) -> rusqlite::Result<()> {
        let mut rows = sql.get(Query::RoutesAfter)?.query([self.known])?;
        let mut fresh = Vec::new();
        while let Some(row) = rows.next()? {
            let tags: Vec<Name> = serde_json::from_str(row.get_ref(3)?.as_str()?).unwrap_or_default();
            let route = Route {
                queue: Name::stored(row.get_ref(1)?.as_str()?),
                function: Name::stored(row.get_ref(2)?.as_str()?),
                tags,
            };
            fresh.push((row.get::<_, i64>(0)?, route));
        }
        drop(rows);
        for (id, route) in fresh {
            self.known = self.known.max(id);
            self.remember(id, route);
        }
        Ok(())
    }

    /// The number of a route, which gets one if it has none.
    pub(crate) fn number(
        &mut self,
        sql: &mut Statements<'_>,
        queue: &Name,
        function: &Name,
        tags: &[Name],
    ) -> Step<i64> {
        let known = self.by_name.get(queue).and_then(|functions| functions.get(function));
        if let Some((_, id)) = known.and_then(|known| known.iter().find(|(of, _)| of == tags)) {
            return Ok(*id);
        }
        let text = serde_json::to_string(tags).unwrap_or_else(|_| "[]".to_owned());
        let find = sql.get(Query::RouteFind)?;
        let found = {
            let mut rows = find.query(params![queue.as_str(), function.as_str(), text])?;
            rows.next()?.map(|row| row.get::<_, i64>(0)).transpose()?
        };
        let id = match found {
            Some(id) => id,
            None => {
                sql.get(Query::RouteInsert)?.execute(params![queue.as_str(), function.as_str(), text])?;
                sql.connection().last_insert_rowid()
            }
        };
        self.remember(id, Route { queue: queue.clone(), function: function.clone(), tags: tags.to_vec() });
        Ok(id)
    }

    /// A route by its number.
    pub(crate) fn route(&mut self, sql: &mut Statements<'_>, id: i64) -> rusqlite::Result<Route> {
        if !self.by_id.contains_key(&id) {
            self.refresh(sql)?;
        }
        self.by_id.get(&id).cloned().ok_or(rusqlite::Error::QueryReturnedNoRows)
    }

    /// The numbers of the routes that `serve` accepts and whose queue is not among `paused`, in growing order.
    pub(crate) fn accepted(
        &mut self,
        sql: &mut Statements<'_>,
        serve: &Arc<Serve>,
        paused: &[Name],
    ) -> rusqlite::Result<Vec<i64>> {
        self.refresh(sql)?;
        let same = |a: &Accepted| Arc::ptr_eq(&a.serve, serve) || a.serve == *serve;
        let at = match self.accepted.iter().position(same) {
            Some(at) => at,
            None => {
                if self.accepted.len() >= SERVES {
                    self.accepted.remove(0);
                }
                self.accepted.push(Accepted { serve: Arc::clone(serve), known: 0, ids: Vec::new() });
                self.accepted.len() - 1
            }
        };
        let entry = &mut self.accepted[at];
        if entry.known < self.known {
            for id in entry.known + 1..=self.known {
                let Some(route) = self.by_id.get(&id) else { continue };
                if serve.accepts(&route.queue, &route.function, &route.tags) {
                    entry.ids.push(id);
                }
            }
            entry.known = self.known;
        }
        if paused.is_empty() {
            return Ok(entry.ids.clone());
        }
        let open = |id: &&i64| self.by_id.get(*id).is_some_and(|route| !paused.contains(&route.queue));
        Ok(entry.ids.iter().filter(open).copied().collect())
    }
}
