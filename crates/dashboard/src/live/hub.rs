//! One look at each page that is watched, however many watch it.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{Router, body::to_bytes, http::StatusCode, response::sse::Event};
use serde::Serialize;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::{Instant, sleep},
};
use tower::ServiceExt;

use super::topic::Topic;

/// A page that is watched is looked at this often.
const EVERY: Duration = Duration::from_secs(2);

/// A look that takes long is followed by a rest of so many times as long: a tenth of one connection at most is what a page costs.
const REST: u32 = 10;

/// Viewers that are served at a time.
const MOST: usize = 200;

/// A page is never larger.
const LARGEST: usize = 8 << 20;

/// What a page shows; `None` before the first look.
type Watched = watch::Sender<Option<Arc<Seen>>>;

/// What is watched in this process. Clones are the same one.
#[derive(Debug, Clone)]
pub(crate) struct Hub {
    pages: Router,
    /// Whether the pages may be read from a replica.
    replica: bool,
    topics: Arc<Mutex<HashMap<Topic, Watched>>>,
    places: Arc<Semaphore>,
}

/// What a page showed at the last look.
#[derive(Debug)]
pub(crate) struct Seen {
    /// Tells one content from another.
    pub(crate) version: u64,
    parts: Parts,
}

/// The parts of a page that change by themselves, as HTML.
#[derive(Debug, Hash, Serialize)]
struct Parts {
    main: String,
    nav: String,
    clock: String,
}

impl Hub {
    /// Of these pages.
    pub(crate) fn new(pages: Router, replica: bool) -> Self {
        Self { pages, replica, topics: Arc::default(), places: Arc::new(Semaphore::new(MOST)) }
    }

    /// Whether the pages may be read from a replica, which is behind.
    pub(crate) const fn has_replica(&self) -> bool {
        self.replica
    }

    /// A place for one more viewer, if there is one.
    pub(crate) fn place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.places).try_acquire_owned().ok()
    }

    /// What the page shows from now on, and what it showed at the last look if it is watched already.
    #[expect(clippy::disallowed_methods, reason = "the task ends by itself when nobody watches; a server that stops waits for no viewer")]
    pub(crate) fn watch(&self, topic: Topic) -> watch::Receiver<Option<Arc<Seen>>> {
        let mut topics = self.topics();
        if let Some(seen) = topics.get(&topic) {
            return seen.subscribe();
        }
        let (sender, receiver) = watch::channel(None);
        topics.insert(topic.clone(), sender.clone());
        tokio::spawn(self.clone().look(topic, sender));
        receiver
    }

    /// Looks at the page for as long as somebody watches it.
    async fn look(self, topic: Topic, seen: Watched) {
        loop {
            let started = Instant::now();
            // A page that can't be shown now is not sent: who watches sees that nothing comes.
            if let Some(now) = self.see(&topic).await {
                seen.send_replace(Some(Arc::new(now)));
            }
            sleep(EVERY.max(started.elapsed() * REST)).await;
            let mut topics = self.topics();
            // Viewers come under the lock: nobody can between this and that.
            if seen.receiver_count() == 0 {
                topics.remove(&topic);
                return;
            }
        }
    }

    async fn see(&self, topic: &Topic) -> Option<Seen> {
        let answer = self.pages.clone().oneshot(topic.request()).await.unwrap_or_else(|never| match never {});
        if answer.status() != StatusCode::OK {
            return None;
        }
        let page = to_bytes(answer.into_body(), LARGEST).await.ok()?;
        Parts::of(str::from_utf8(&page).ok()?).map(Seen::new)
    }

    fn topics(&self) -> MutexGuard<'_, HashMap<Topic, Watched>> {
        self.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    fn new(parts: Parts) -> Self {
        let mut hasher = DefaultHasher::new();
        parts.hash(&mut hasher);
        Self { version: hasher.finish(), parts }
    }

    /// As an event.
    pub(crate) fn event(&self, event: Event) -> Event {
        let event = event.event("page").id(self.version.to_string());
        // Strings always become JSON; a beat says at least that there was a look.
        event.clone().json_data(&self.parts).unwrap_or(event)
    }
}

impl Parts {
    /// Cut out of the whole page. Texts of jobs are escaped, so none of them can look like one of the ends.
    fn of(page: &str) -> Option<Self> {
        let part = |start: &str, end: &str| {
            let (_, rest) = page.split_once(start)?;
            rest.split_once(end).map(|(part, _)| part.to_owned())
        };
        Some(Self {
            main: part("<main id=\"main\" tabindex=\"-1\">", "</main>")?,
            nav: part("<nav aria-label=\"Pages\">", "</nav>")?,
            clock: part("<span id=\"clock\">", "</span><!--clock-->")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use axum::{response::Html, routing::get};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_page_is_looked_at_once_whoever_watches_and_no_more_when_nobody_does() {
        let looks = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&looks);
        let page = move || {
            let look = count.fetch_add(1, Ordering::Relaxed);
            async move {
                Html(format!(
                    "<nav aria-label=\"Pages\">n</nav><span id=\"clock\">c</span><!--clock--><main id=\"main\" tabindex=\"-1\">{}</main>",
                    look / 3
                ))
            }
        };
        let hub = Hub::new(Router::new().route("/jobs", get(page)), false);
        let topic = Topic::new("jobs", "./", None).unwrap();
        let mut viewers: Vec<_> = (0..20).map(|_| hub.watch(topic.clone())).collect();
        for look in 0..7 {
            for viewer in &mut viewers {
                viewer.changed().await.unwrap();
                assert_eq!(viewer.borrow_and_update().as_ref().unwrap().parts.main, (look / 3).to_string());
            }
        }
        assert_eq!(looks.load(Ordering::Relaxed), 7);
        drop(viewers);
        sleep(EVERY * 3).await;
        assert!(hub.topics().is_empty());
        assert_eq!(looks.load(Ordering::Relaxed), 7);
    }

    #[test]
    fn who_comes_when_all_places_are_taken_gets_none() {
        let hub = Hub::new(Router::new(), false);
        let mut taken: Vec<_> = (0..MOST).map(|_| hub.place().unwrap()).collect();
        assert!(hub.place().is_none());
        taken.pop();
        assert!(hub.place().is_some());
    }
}
