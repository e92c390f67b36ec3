//! Group commit that clocks itself: what arrives while a commit is under way shares the next one. Nothing is delayed when
//! nothing is under way, and under load the groups grow by themselves.

use std::{
    collections::{HashSet, VecDeque},
    future::Future,
    hash::Hash,
};

use tokio::sync::{mpsc, oneshot};
use voltaxe_store::StoreError;

/// Items that may wait; a caller beyond these waits for room.
const WAITING: usize = 4096;

/// Cheap to clone. Its task ends with the last clone.
pub(crate) struct Gatherer<I, O> {
    inbox: mpsc::Sender<Waiting<I, O>>,
}

struct Waiting<I, O> {
    item: I,
    answer: oneshot::Sender<Result<O, StoreError>>,
}

impl<I, O> Clone for Gatherer<I, O> {
    fn clone(&self) -> Self {
        Self { inbox: self.inbox.clone() }
    }
}

impl<I: Clone + Send + 'static, O: Send + 'static> Gatherer<I, O> {
    /// `commit` makes a group durable and answers in its order. No group has two items of the same key.
    pub(crate) fn start<K, F, C>(most: usize, key: fn(&I) -> K, commit: C) -> Self
    where
        K: Eq + Hash + Send + 'static,
        F: Future<Output = Result<Vec<O>, StoreError>> + Send,
        C: Fn(Vec<I>) -> F + Send + Sync + 'static,
    {
        let (inbox, mut arrivals) = mpsc::channel::<Waiting<I, O>>(WAITING);
        tokio::spawn(async move {
            let mut held = VecDeque::new();
            loop {
                if held.is_empty() {
                    let Some(first) = arrivals.recv().await else { return };
                    held.push_back(first);
                }
                while held.len() < most {
                    let Ok(next) = arrivals.try_recv() else { break };
                    held.push_back(next);
                }
                settle(take_group(&mut held, key), &commit).await;
            }
        });
        Self { inbox }
    }

    /// Answered when the group of `item` is committed. The item is committed even if the caller stops waiting.
    pub(crate) async fn submit(&self, item: I) -> Result<O, StoreError> {
        let (answer, answered) = oneshot::channel();
        // Either fails only while the process ends and the tasks with it.
        self.inbox.send(Waiting { item, answer }).await.map_err(|_| StoreError::ShuttingDown)?;
        answered.await.map_err(|_| StoreError::ShuttingDown)?
    }
}

/// The oldest items with different keys.
fn take_group<I, O, K: Eq + Hash>(
    held: &mut VecDeque<Waiting<I, O>>,
    key: fn(&I) -> K,
) -> Vec<Waiting<I, O>> {
    let mut keys = HashSet::with_capacity(held.len());
    let (group, rest): (Vec<_>, Vec<_>) = held.drain(..).partition(|waiting| keys.insert(key(&waiting.item)));
    *held = rest.into();
    group
}

async fn settle<I: Clone, O, F, C>(group: Vec<Waiting<I, O>>, commit: &C)
where
    F: Future<Output = Result<Vec<O>, StoreError>>,
    C: Fn(Vec<I>) -> F,
{
    let items = group.iter().map(|waiting| waiting.item.clone()).collect();
    match commit(items).await {
        Ok(outcomes) => {
            for (waiting, outcome) in group.into_iter().zip(outcomes) {
                // A caller that went away is no error.
                let _ = waiting.answer.send(Ok(outcome));
            }
        }
        Err(error) if error.is_unavailable() || group.len() == 1 => {
            for waiting in group {
                let _ = waiting.answer.send(Err(error.clone()));
            }
        }
        // One of them is at fault, or two groups met in a deadlock: each by itself.
        Err(_) => {
            for waiting in group {
                let outcome = commit(vec![waiting.item]).await;
                let outcome = outcome.and_then(|mut all| all.pop().ok_or(StoreError::ShuttingDown));
                let _ = waiting.answer.send(outcome);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tokio::sync::Semaphore;

    use super::*;

    type Groups = Arc<Mutex<Vec<Vec<u32>>>>;

    /// Commits wait for `go`; the items' keys are their last digits.
    fn gatherer(go: Arc<Semaphore>) -> (Gatherer<u32, u32>, Groups) {
        let groups = Groups::default();
        let seen = Arc::clone(&groups);
        let gatherer = Gatherer::start(
            8,
            |item| item % 10,
            move |group: Vec<u32>| {
                let (go, seen) = (Arc::clone(&go), Arc::clone(&seen));
                async move {
                    go.acquire().await.unwrap().forget();
                    seen.lock().unwrap().push(group.clone());
                    if group.len() > 1 && group.contains(&99) {
                        return Err(StoreError::Taken { constraint: "test".to_owned() });
                    }
                    Ok(group.into_iter().map(|item| item * 2).collect())
                }
            },
        );
        (gatherer, groups)
    }

    #[tokio::test]
    async fn what_arrives_during_a_commit_shares_the_next_one() {
        let go = Arc::new(Semaphore::new(0));
        let (gatherer, groups) = gatherer(Arc::clone(&go));
        let submit = |item| {
            let gatherer = gatherer.clone();
            tokio::spawn(async move { gatherer.submit(item).await.unwrap() })
        };
        let first = submit(1);
        tokio::task::yield_now().await;
        tokio::task::yield_now().await;
        let rest = [submit(2), submit(3), submit(12)];
        for _ in 0..8 {
            tokio::task::yield_now().await;
        }
        go.add_permits(10);
        assert_eq!(first.await.unwrap(), 2);
        for (task, expected) in rest.into_iter().zip([4, 6, 24]) {
            assert_eq!(task.await.unwrap(), expected);
        }
        assert_eq!(*groups.lock().unwrap(), [vec![1], vec![2, 3], vec![12]], "12 has the key of 2");
    }

    #[tokio::test]
    async fn one_bad_item_fails_no_other() {
        let go = Arc::new(Semaphore::new(0));
        let (gatherer, _) = gatherer(Arc::clone(&go));
        let tasks: Vec<_> = [7, 99, 8]
            .map(|item| {
                let gatherer = gatherer.clone();
                tokio::spawn(async move { gatherer.submit(item).await })
            })
            .into();
        go.add_permits(10);
        for task in tasks {
            assert!(task.await.unwrap().is_ok());
        }
    }
}
