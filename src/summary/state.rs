//! The folded state in memory: known ids, open days, and which days are closed.

use std::collections::BTreeMap;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::catalog::Mark;
use crate::day::Day;
use crate::summary::actors::{Actors, OTHER_NUMBER};
use crate::summary::day_files::ClosedDay;
use crate::summary::references::References;
use crate::summary::whose::{EntryId, KINDS, Whose};
use crate::summary::{ActorId, Counters, Delta, Period, Role};

/// So many entries of IOSS holders are looked up before the first of them is added to: they lie far
/// apart in memory, and looked up together they are fetched together.
const LOOK_AHEAD: usize = 32;

const DECLARANT: Whose = Whose::Actor(Role::Declarant);
const REPRESENTATIVE: Whose = Whose::Actor(Role::Representative);
const IOSS_HOLDER: Whose = Whose::Actor(Role::IossHolder);

/// Everything folded so far.
#[derive(Debug)]
pub(crate) struct State {
    /// How many records are folded in.
    pub(crate) watermark: u64,
    /// The newest day of a batch.
    pub(crate) newest: Option<Day>,
    /// How many ids of a role, and how many fallback references, get figures of their own.
    pub(crate) actors_max: u32,
    /// The last record that was folded by a version which had not all of the figures of this one: those
    /// by fallback reference, and some [`Counters`]. 0 where all are there.
    pub(crate) complete_after: u64,
    /// By the role's place in [`Role::ALL`].
    pub(crate) actors: [Actors; 3],
    pub(crate) references: References,
    /// Days whose entries are here and in the catalog. No day is both open and closed.
    pub(crate) open: BTreeMap<Day, OpenDay>,
    /// Days whose entries are in a file. Replaced, never changed, so that a reader can tell
    /// whether it has become another set.
    pub(crate) closed: Arc<BTreeMap<Day, ClosedDay>>,
}

/// A day whose entries may still change.
#[derive(Debug, Default)]
pub(crate) struct OpenDay {
    /// Of the file it was reopened from; 0 where it never was closed.
    pub(crate) generation: u32,
    /// By [`Whose::index`]. While the day's file is being written they are shared with its writer:
    /// a late batch then changes a copy. So closing a day costs no second copy of it, which may
    /// have 150 MB, and late batches come hardly ever.
    pub(crate) kinds: [Arc<RoleDay>; KINDS],
}

/// The entries of one role, or of references, on one day.
#[derive(Debug, Clone, Default)]
pub(crate) struct RoleDay {
    /// By actor number: 1 + the entry's place, or 0. An array, so that the many holders of IOSS
    /// numbers cost one small load each and no second hash table.
    slots: Vec<u32>,
    pub(crate) entries: Vec<Entry>,
}

/// An actor's figures on one day, and what the catalog knows of them.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) number: u32,
    /// Changed since the last checkpoint, and noted for the next.
    pub(crate) dirty: bool,
    /// Of what the catalog holds, where it holds this entry.
    pub(crate) mark: Option<Mark>,
    pub(crate) counters: Counters,
}

/// An entry that the next checkpoint must write.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dirty {
    pub(crate) day: Day,
    pub(crate) whose: Whose,
    pub(crate) place: u32,
}

impl OpenDay {
    /// The entries of `whose`, to be changed.
    pub(crate) fn kind_mut(&mut self, whose: Whose) -> &mut RoleDay {
        let [declarants, representatives, ioss_holders, references] = &mut self.kinds;
        Arc::make_mut(match whose {
            Whose::Actor(Role::Declarant) => declarants,
            Whose::Actor(Role::Representative) => representatives,
            Whose::Actor(Role::IossHolder) => ioss_holders,
            Whose::Reference => references,
        })
    }

    /// Of this day, `day`, the catalog holds no entry: marks all as changed, and appends those
    /// that were not to `dirty`.
    pub(crate) fn mark_all(&mut self, day: Day, dirty: &mut Vec<Dirty>) {
        for whose in Whose::ALL {
            for (place, entry) in (0..).zip(&mut self.kind_mut(whose).entries) {
                entry.mark = None;
                if !std::mem::replace(&mut entry.dirty, true) {
                    dirty.push(at(day, whose, place));
                }
            }
        }
    }
}

impl RoleDay {
    /// The entry of actor `number`, where it has one.
    pub(crate) fn get(&self, number: u32) -> Option<&Entry> {
        let slot = *self.slots.get(number as usize)?;
        self.entries.get(slot.checked_sub(1)? as usize)
    }

    /// The place of actor `number`'s entry, which is made where there is none.
    #[inline]
    pub(crate) fn place(&mut self, number: u32) -> u32 {
        match self.slots.get(number as usize) {
            Some(slot) if *slot != 0 => *slot - 1,
            _ => self.add(number, Counters::default(), None),
        }
    }

    /// Adds an entry for actor `number`, which must have none, and tells its place.
    #[cold]
    pub(crate) fn add(&mut self, number: u32, counters: Counters, mark: Option<Mark>) -> u32 {
        let index = number as usize;
        if self.slots.len() <= index {
            // By half more at least, so that growing costs a constant per actor.
            let length = (index + 1).max(self.slots.len() + self.slots.len() / 2);
            self.slots.resize(length, 0);
        }
        // At most one entry per known id and one for the others: fewer than 2^32.
        let place = u32::try_from(self.entries.len()).unwrap_or(u32::MAX - 1);
        if let Some(slot) = self.slots.get_mut(index) {
            *slot = place + 1;
        }
        self.entries.push(Entry { number, dirty: false, mark, counters });
        place
    }
}

impl State {
    pub(crate) fn new(actors_max: u32) -> Self {
        Self {
            watermark: 0,
            newest: None,
            actors_max,
            complete_after: 0,
            actors: [Actors::new(), Actors::new(), Actors::new()],
            references: References::new(),
            open: BTreeMap::new(),
            closed: Arc::new(BTreeMap::new()),
        }
    }

    /// The ids of `role`.
    pub(crate) fn actors(&self, role: Role) -> &Actors {
        let [declarants, representatives, ioss_holders] = &self.actors;
        match role {
            Role::Declarant => declarants,
            Role::Representative => representatives,
            Role::IossHolder => ioss_holders,
        }
    }

    /// The id of `whose` numbered `number`.
    pub(crate) fn id(&self, whose: Whose, number: u32) -> Option<EntryId> {
        match whose {
            Whose::Actor(role) => self.actors(role).id(number).map(EntryId::Actor),
            Whose::Reference => self.references.id(number).cloned().map(EntryId::Reference),
        }
    }

    /// The number of the id `text` of `whose`, where it is known.
    pub(crate) fn number(&self, whose: Whose, text: &str) -> Option<u32> {
        match whose {
            Whose::Actor(role) => self.actors(role).number(&ActorId::parse(role, text)?),
            Whose::Reference => self.references.number(text),
        }
    }

    /// How many ids of `whose` are known.
    pub(crate) fn known(&self, whose: Whose) -> u32 {
        match whose {
            Whose::Actor(role) => self.actors(role).known(),
            Whose::Reference => self.references.known(),
        }
    }

    /// The ids of `whose` that are known, with their numbers, past the first `but` of them.
    pub(crate) fn ids_after(&self, whose: Whose, but: u32) -> Vec<(u32, EntryId)> {
        let numbers = (1..=self.known(whose)).skip(but as usize);
        numbers.filter_map(|number| Some((number, self.id(whose, number)?))).collect()
    }

    /// Takes `text` as the next id of `whose`, as it was stored, and tells its number. `None` where it is
    /// none, or is known already.
    pub(crate) fn take_id(&mut self, whose: Whose, text: &str) -> Option<u32> {
        if !whose.is_id(text) || self.number(whose, text).is_some() {
            return None;
        }
        Some(match whose {
            Whose::Actor(role) => {
                let id = ActorId::parse(role, text)?;
                self.actors.get_mut(whose.index())?.number_or_add(&id, u32::MAX)
            }
            Whose::Reference => self.references.add(text),
        })
    }

    /// Folds in one batch as record `watermark`; its day must not be closed. Entries that were
    /// clean are appended to `dirty`.
    pub(crate) fn fold(&mut self, delta: &Delta, watermark: u64, dirty: &mut Vec<Dirty>) {
        self.newest = self.newest.max(Some(delta.day));
        if delta.whole.is_empty() {
            // An empty batch makes no actor and opens no day.
            return;
        }
        let (day, actors_max) = (delta.day, self.actors_max);
        let open = self.open.entry(day).or_default();
        let [declarants, representatives, ioss_holders] = &mut self.actors;
        let [declarant_day, representative_day, ioss_day, _] = &mut open.kinds;

        let role_day = Arc::make_mut(declarant_day);
        let mut fold = Fold { actors: declarants, role_day, actors_max, watermark };
        let entry = fold.entry(&delta.declarant, |place| dirty.push(at(day, DECLARANT, place)));
        if let Some(entry) = entry {
            entry.counters.merge(&delta.whole);
        }

        if let Some(representative) = &delta.representative {
            let role_day = Arc::make_mut(representative_day);
            let mut fold = Fold { actors: representatives, role_day, actors_max, watermark };
            let mark = |place| dirty.push(at(day, REPRESENTATIVE, place));
            if let Some(entry) = fold.entry(representative, mark) {
                entry.counters.merge(&delta.whole);
            }
        }

        let role_day = Arc::make_mut(ioss_day);
        let mut fold = Fold { actors: ioss_holders, role_day, actors_max, watermark };
        let mut shares = delta.shares();
        let mut places: SmallVec<[u32; LOOK_AHEAD]> = SmallVec::new();
        for ahead in delta.by_ioss_number.chunks(LOOK_AHEAD) {
            places.clear();
            places.extend(ahead.iter().map(|share| {
                fold.place(&share.holder, |place| dirty.push(at(day, IOSS_HOLDER, place)))
            }));
            // `places` ends first, so that no share is taken and dropped.
            for (place, (share, reasons)) in places.iter().zip(shares.by_ref()) {
                if let Some(entry) = fold.role_day.entries.get_mut(*place as usize) {
                    entry.counters.add(share.outcome, &share.facts, reasons);
                }
            }
        }

        if !delta.by_reference.is_empty() {
            let number = self.actors(Role::Declarant).number(&delta.declarant);
            let is_other = number.is_none_or(|number| number == OTHER_NUMBER);
            self.fold_references(delta, is_other, dirty);
        }
    }

    /// Folds in what came with fallback references. Where its declarant `is_other`, so are they.
    #[cold]
    fn fold_references(&mut self, delta: &Delta, is_other: bool, dirty: &mut Vec<Dirty>) {
        let declarant = if is_other { ActorId::other() } else { delta.declarant };
        let open = self.open.entry(delta.day).or_default();
        let entries = open.kind_mut(Whose::Reference);
        for referred in &delta.by_reference {
            let reference = &referred.reference;
            let number = self.references.number_or_add(&declarant, reference, self.actors_max);
            let place = entries.place(number);
            if let Some(entry) = entries.entries.get_mut(place as usize) {
                if !std::mem::replace(&mut entry.dirty, true) {
                    dirty.push(at(delta.day, Whose::Reference, place));
                }
                entry.counters.add_referred(referred);
            }
        }
    }

    /// The sum over the open days of `period`; empty where `id` has no entry there.
    pub(crate) fn sum_open(&self, whose: Whose, id: &str, period: Period) -> Counters {
        let mut sum = Counters::default();
        let Some(number) = self.number(whose, id) else { return sum };
        for (_, role_day) in self.open_days(whose, period) {
            if let Some(entry) = role_day.get(number) {
                sum.merge(&entry.counters);
            }
        }
        sum
    }

    /// The open days of `period`, in order, as far as `whose` entries go.
    pub(crate) fn open_days(
        &self,
        whose: Whose,
        period: Period,
    ) -> impl Iterator<Item = (Day, &RoleDay)> {
        self.open
            .iter()
            .filter(move |(day, _)| period.contains(**day))
            .filter_map(move |(day, open)| Some((*day, open.kinds.get(whose.index())?.as_ref())))
    }
}

/// One role of one day, while a batch is folded in.
struct Fold<'a> {
    actors: &'a mut Actors,
    role_day: &'a mut RoleDay,
    actors_max: u32,
    watermark: u64,
}

impl Fold<'_> {
    /// The entry of `id`, marked as changed; `mark` gets its place where it was clean.
    fn entry(&mut self, id: &ActorId, mark: impl FnOnce(u32)) -> Option<&mut Entry> {
        let place = self.place(id, mark);
        self.role_day.entries.get_mut(place as usize)
    }

    /// The place of that entry.
    #[inline]
    fn place(&mut self, id: &ActorId, mark: impl FnOnce(u32)) -> u32 {
        let number = self.actors.number_or_add(id, self.actors_max);
        self.actors.mark_changed(number, self.watermark);
        let place = self.role_day.place(number);
        if let Some(entry) = self.role_day.entries.get_mut(place as usize)
            && !entry.dirty
        {
            entry.dirty = true;
            mark(place);
        }
        place
    }
}

fn at(day: Day, whose: Whose, place: u32) -> Dirty {
    Dirty { day, whose, place }
}
