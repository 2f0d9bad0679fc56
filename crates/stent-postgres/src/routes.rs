//! The routes as this process knows them: a (queue, function, tag set) is a number, numbers are only ever added. What
//! a worker's `Serve` accepts is worked out once for each route, so a claim compares numbers, not names.

use std::collections::HashMap;
use std::sync::Arc;

use stent_core::{Name, Serve};

use crate::batch::Batch;
use crate::error::{Step, broken};
use crate::query::Query;
use crate::rows::{self, Row};

/// How many different `Serve`s are remembered: a process has one for each of its workers.
const SERVES: usize = 32;

/// How often a route's number is tried for, when others number theirs at the same moment.
const TRIES: usize = 100;

/// A route that the store has numbered.
#[derive(Debug, Clone)]
pub(crate) struct Route {
    pub(crate) queue: Name,
    pub(crate) function: Name,
    pub(crate) tags: Vec<Name>,
}

/// The routes a worker accepts among those with numbers up to `known`.
#[derive(Debug)]
struct Accepted {
    serve: Arc<Serve>,
    known: i64,
    /// In growing order.
    ids: Vec<i64>,
}

/// The tag sets of a function in a queue, each with its route's number.
type TagSets = Vec<(Vec<Name>, i64)>;

/// The cache of a committer. Emptied when a transaction is rolled back, since its routes are gone then.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    by_id: HashMap<i64, Route>,
    /// By queue, then function: a start looks its route up without building a key.
    by_name: HashMap<Name, HashMap<Name, TagSets>>,
    /// All routes with numbers up to this are in `by_id`.
    known: i64,
    accepted: Vec<Accepted>,
}

impl Routes {
    /// Forgets everything; the next use reads it again.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// All routes up to this number are known.
    pub(crate) const fn known(&self) -> i64 {
        self.known
    }

    fn find(&self, queue: &Name, function: &Name, tags: &[Name]) -> Option<i64> {
        let sets = self.by_name.get(queue)?.get(function)?;
        sets.iter().find(|(set, _)| set == tags).map(|(_, id)| *id)
    }

    fn remember(&mut self, id: i64, route: Route) {
        if self.by_id.contains_key(&id) {
            return;
        }
        let functions = self.by_name.entry(route.queue.clone()).or_default();
        functions.entry(route.function.clone()).or_default().push((route.tags.clone(), id));
        self.by_id.insert(id, route);
    }

    /// The numbers of the known routes that `serve` accepts and whose queue is not among `paused`, in growing order.
    pub(crate) fn accepted(&mut self, serve: &Arc<Serve>, paused: &[Name]) -> Vec<i64> {
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
        for id in entry.known + 1..=self.known {
            let Some(route) = self.by_id.get(&id) else { continue };
            if serve.accepts(&route.queue, &route.function, &route.tags) {
                entry.ids.push(id);
            }
        }
        entry.known = self.known;
        let open = |id: &&i64| self.by_id.get(*id).is_some_and(|route| !paused.contains(&route.queue));
        entry.ids.iter().filter(open).copied().collect()
    }
}

fn read(row: &Row) -> Step<(i64, Route)> {
    let tags: Vec<Name> = serde_json::from_str(rows::get(row, 3)?).unwrap_or_default();
    Ok((rows::get(row, 0)?, Route { queue: rows::name(row, 1)?, function: rows::name(row, 2)?, tags }))
}

impl Batch<'_> {
    /// Reads the routes that were numbered since the last look. They become visible in the order of their numbers.
    pub(crate) async fn refresh_routes(&mut self) -> Step<()> {
        let known = self.memory.routes.known;
        for row in self.peek(Query::RoutesAfter, &[&known]).await? {
            let (id, route) = read(&row)?;
            self.memory.routes.known = self.memory.routes.known.max(id);
            self.memory.routes.remember(id, route);
        }
        Ok(())
    }

    /// The number of a route, which gets one if it has none.
    pub(crate) async fn route_number(&mut self, queue: &Name, function: &Name, tags: &[Name]) -> Step<i64> {
        if let Some(id) = self.memory.routes.find(queue, function, tags) {
            return Ok(id);
        }
        let text = serde_json::to_string(tags).unwrap_or_else(|_| "[]".to_owned());
        for _ in 0..TRIES {
            let found = self.row(Query::RouteFind, &[&queue.as_str(), &function.as_str(), &text.as_str()]).await?;
            if let Some(row) = found {
                let id = rows::get(&row, 0)?;
                let route = Route { queue: queue.clone(), function: function.clone(), tags: tags.to_vec() };
                self.memory.routes.remember(id, route);
                return Ok(id);
            }
            // No row changes if another process took the number, or numbered the same route, at this moment.
            self.execute(Query::RouteInsert, &[&queue.as_str(), &function.as_str(), &text.as_str()]).await?;
        }
        Err(broken("a route could not be numbered"))
    }

    /// A route by its number.
    pub(crate) async fn route(&mut self, id: i64) -> Step<Route> {
        if !self.memory.routes.by_id.contains_key(&id) {
            self.refresh_routes().await?;
        }
        self.memory.routes.by_id.get(&id).cloned().ok_or(broken("a task's route is not there"))
    }
}
