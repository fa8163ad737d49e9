//! A `tracing` subscriber that keeps what it is told, for tests to look at.

use std::collections::BTreeMap;
use std::fmt::{self, Debug, Write as _};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::{DefaultGuard, Interest};
use tracing::{Dispatch, Event, Level, Metadata, Subscriber};

/// What was said with a name and fields: a span or an event. Fields are as they print.
#[derive(Clone, Debug)]
pub struct Said {
    /// The module that said it, or what it was filed under.
    pub target: String,
    /// The name of a span; the message of an event.
    pub name: String,
    /// Its level.
    pub level: Level,
    /// Its fields, without the message.
    pub fields: BTreeMap<String, String>,
    /// The index of the span that it was in, among [`Ear::spans`].
    pub parent: Option<usize>,
    /// Of a span: how often it was entered.
    pub entered: usize,
    /// Of a span: whether it was closed.
    pub closed: bool,
}

impl Said {
    /// A field; `None` if it was not said, or is empty.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(String::as_str)
    }
}

/// Keeps spans and events of the tasks of one thread. Cheap to clone: all clones keep the same.
#[derive(Clone)]
pub struct Ear {
    level: LevelFilter,
    kept: Arc<Mutex<Kept>>,
}

#[derive(Default)]
struct Kept {
    spans: Vec<Said>,
    /// How many handles there are of each span.
    handles: Vec<usize>,
    events: Vec<Said>,
    /// The spans that are entered, innermost last.
    stack: Vec<usize>,
}

impl Default for Ear {
    fn default() -> Self {
        Self::at(Level::TRACE)
    }
}

impl Ear {
    /// One that hears what is at this level or above.
    #[must_use]
    pub fn at(level: Level) -> Self {
        Self {
            level: LevelFilter::from_level(level),
            kept: Arc::default(),
        }
    }

    /// Listens to this thread until the guard is dropped.
    #[must_use]
    pub fn listen(&self) -> DefaultGuard {
        Undecided::stay();
        tracing::subscriber::set_default(self.clone())
    }

    /// All spans so far, oldest first.
    #[must_use]
    pub fn spans(&self) -> Vec<Said> {
        self.kept().spans.clone()
    }

    /// All events so far, oldest first.
    #[must_use]
    pub fn events(&self) -> Vec<Said> {
        self.kept().events.clone()
    }

    /// The spans of this name.
    #[must_use]
    pub fn spans_named(&self, name: &str) -> Vec<Said> {
        let mut spans = self.spans();
        spans.retain(|span| span.name == name);
        spans
    }

    /// The events with this message.
    #[must_use]
    pub fn events_named(&self, message: &str) -> Vec<Said> {
        let mut events = self.events();
        events.retain(|event| event.name == message);
        events
    }

    /// Everything that was said, as text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        for said in self.spans().iter().chain(&self.events()) {
            writeln!(text, "{} {} {:?}", said.target, said.name, said.fields).unwrap();
        }
        text
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap()
    }
}

/// Notes fields as they print.
struct Fields<'a>(&'a mut Said);

impl Visit for Fields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let value = format!("{value:?}");
        if field.name() == "message" {
            self.0.name = value;
        } else {
            self.0.fields.insert(field.name().to_owned(), value);
        }
    }
}

fn said(metadata: &Metadata<'_>, parent: Option<usize>) -> Said {
    Said {
        target: metadata.target().to_owned(),
        name: metadata.name().to_owned(),
        level: *metadata.level(),
        fields: BTreeMap::new(),
        parent,
        entered: 0,
        closed: false,
    }
}

fn index(id: &Id) -> usize {
    usize::try_from(id.into_u64()).unwrap() - 1
}

/// Keeps `tracing` from deciding once and for all who is interested in a span or event. Where there is one subscriber only,
/// it asks that of the thread that comes by first, and a thread to which nobody listens would say never, for all of them.
struct Undecided;

impl Undecided {
    /// From here on there is more than one, and nobody ever says never. Nothing was decided before: it is not asked until
    /// somebody wants to hear anything at all, which these two do not.
    fn stay() {
        static TWO: OnceLock<[Dispatch; 2]> = OnceLock::new();
        TWO.get_or_init(|| [Self, Self].map(Dispatch::new));
    }
}

impl Subscriber for Undecided {
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::sometimes()
    }

    fn enabled(&self, _: &Metadata<'_>) -> bool {
        false
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::OFF)
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

impl Subscriber for Ear {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= self.level
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.level)
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let mut kept = self.kept();
        let parent = match attributes.parent() {
            Some(parent) => Some(index(parent)),
            None if attributes.is_contextual() => kept.stack.last().copied(),
            None => None,
        };
        let mut span = said(attributes.metadata(), parent);
        attributes.record(&mut Fields(&mut span));
        kept.spans.push(span);
        kept.handles.push(1);
        Id::from_u64(kept.spans.len() as u64)
    }

    fn record(&self, id: &Id, values: &Record<'_>) {
        values.record(&mut Fields(&mut self.kept().spans[index(id)]));
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut kept = self.kept();
        let mut what = said(event.metadata(), kept.stack.last().copied());
        event.record(&mut Fields(&mut what));
        kept.events.push(what);
    }

    fn enter(&self, id: &Id) {
        let mut kept = self.kept();
        kept.stack.push(index(id));
        kept.spans[index(id)].entered += 1;
    }

    fn exit(&self, id: &Id) {
        let left = self.kept().stack.pop();
        assert_eq!(
            left,
            Some(index(id)),
            "spans are left in the order they were entered"
        );
    }

    fn clone_span(&self, id: &Id) -> Id {
        self.kept().handles[index(id)] += 1;
        id.clone()
    }

    fn try_close(&self, id: Id) -> bool {
        let mut kept = self.kept();
        let index = index(&id);
        kept.handles[index] -= 1;
        let closed = kept.handles[index] == 0;
        kept.spans[index].closed = closed;
        closed
    }
}

impl Debug for Ear {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}
