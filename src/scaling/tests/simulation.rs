//! A group of workers and its server, simulated: arrivals, a queue, workers that start, work and drain, and figures
//! that are late, wrong or missing. A seed gives the same run on every machine.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
    time::Duration,
};

use crate::scaling::{Bounds, Decision, Scaler, Signals, Slots};

/// Tasks a second at a time, in seconds.
pub(super) type Load = fn(f64) -> f64;

/// What is simulated.
#[derive(Clone)]
pub(super) struct World {
    pub(super) load: Load,
    /// The most that `load` returns.
    pub(super) peak: f64,
    /// Whether tasks come at even distances, and not at random ones.
    pub(super) is_even: bool,
    pub(super) seconds: u64,
    pub(super) bounds: Bounds,
    pub(super) slots: u32,
    pub(super) task: Task,
    /// How many seconds the server's figures are behind.
    pub(super) lag: usize,
    /// Whether workers measure how long tasks waited.
    pub(super) is_latency_known: bool,
    /// By which share figures are wrong, up or down.
    pub(super) noise: f64,
    /// The share of the server's answers that are missing.
    pub(super) missing: f64,
}

/// What a task does, and for how long on average.
#[derive(Clone, Copy)]
pub(super) enum Task {
    /// It waits, and occupies a slot.
    Waits { seconds: f64 },
    /// It computes, on the one core that its worker has, if the machine has as many.
    Computes { seconds: f64, cores: f64 },
}

/// A second of a run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Second {
    pub(super) decision: Decision,
    pub(super) ready: usize,
    /// The age of the oldest task in the queue.
    pub(super) oldest: Duration,
}

/// Steele, Lea and Flood's `SplitMix64`.
struct Random(u64);

#[derive(Default)]
struct Worker {
    running: u32,
    is_draining: bool,
    is_ready: bool,
    /// Milliseconds of CPU that its tasks have needed in all.
    assigned: f64,
    /// When its core is free.
    free_at: f64,
    /// Milliseconds of CPU that it had used at the last sample.
    used: f64,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Ready(usize),
    Finish(usize),
    Arrive,
    Sample,
}

struct Simulation<'a> {
    world: &'a World,
    random: Random,
    now: u64,
    events: BinaryHeap<Reverse<(u64, Event)>>,
    /// Arrivals that even loads are short of.
    due: f64,
    queue: VecDeque<u64>,
    workers: Vec<Worker>,
    /// How long the tasks waited that were started since the last sample.
    waits: Vec<f64>,
    scaler: Scaler,
    seconds: Vec<Second>,
}

impl World {
    /// 20 tasks a second, each of which waits for a second, on workers with 4 slots: 7 workers are 71 % busy.
    pub(super) fn new() -> Self {
        Self {
            load: |_| 20.0,
            peak: 20.0,
            is_even: false,
            seconds: 600,
            bounds: Bounds::new(1, 16).unwrap(),
            slots: 4,
            task: Task::Waits { seconds: 1.0 },
            lag: 5,
            is_latency_known: true,
            noise: 0.0,
            missing: 0.0,
        }
    }

    /// How many workers are 80 % busy, or less, with `load` tasks a second.
    pub(super) fn ideal(&self, load: f64) -> usize {
        let needed = match self.task {
            Task::Waits { seconds } => load * seconds / f64::from(self.slots) / 0.8,
            Task::Computes { seconds, .. } => load * seconds / 0.8,
        };
        self.bounds.clamp(needed.ceil() as usize)
    }

    pub(super) fn fewest(&self) -> usize {
        self.bounds.clamp(0)
    }

    pub(super) fn is_allowed(&self, workers: usize) -> bool {
        self.bounds.clamp(workers) == workers
    }

    pub(super) fn run(&self, seed: u64) -> Vec<Second> {
        let mut simulation = Simulation {
            world: self,
            random: Random(seed),
            now: 0,
            events: BinaryHeap::new(),
            due: 0.0,
            queue: VecDeque::new(),
            workers: Vec::new(),
            waits: Vec::new(),
            scaler: Scaler::new(self.bounds, 0),
            seconds: Vec::new(),
        };
        for _ in 0..self.bounds.min() {
            simulation.workers.push(Worker { is_ready: true, ..Worker::default() });
        }
        simulation.after(1000, Event::Sample);
        simulation.after(0, Event::Arrive);
        while simulation.seconds.len() < usize::try_from(self.seconds).unwrap() {
            let Reverse((at, event)) = simulation.events.pop().unwrap();
            simulation.now = at;
            simulation.step(event);
        }
        simulation.seconds
    }
}

impl Simulation<'_> {
    fn after(&mut self, millis: u64, event: Event) {
        self.events.push(Reverse((self.now + millis, event)));
    }

    fn step(&mut self, event: Event) {
        match event {
            Event::Arrive => self.arrive(),
            Event::Ready(worker) => self.workers[worker].is_ready = true,
            Event::Finish(worker) => self.workers[worker].running -= 1,
            Event::Sample => self.sample(),
        }
        self.dispatch();
    }

    /// Lets a task arrive, or not: there are as many of these events as at the peak of the load.
    fn arrive(&mut self) {
        let share = (self.world.load)(self.now as f64 / 1000.0) / self.world.peak;
        self.due += share;
        let chance = self.random.fraction();
        let arrives = if self.world.is_even { self.due >= 1.0 } else { chance < share };
        if arrives {
            self.due -= 1.0;
            self.queue.push_back(self.now);
        }
        let gap = if self.world.is_even { 1.0 } else { self.random.exponential() };
        self.after(((gap * 1000.0 / self.world.peak) as u64).max(1), Event::Arrive);
    }

    fn takes_tasks(worker: &Worker) -> bool {
        worker.is_ready && !worker.is_draining
    }

    /// Gives tasks to the workers with the most free slots.
    fn dispatch(&mut self) {
        while let Some(arrived) = self.queue.front().copied() {
            let free = self.workers.iter_mut().enumerate().filter(|(_, worker)| {
                Self::takes_tasks(worker) && worker.running < self.world.slots
            });
            let Some((number, worker)) = free.min_by_key(|(_, worker)| worker.running) else {
                return;
            };
            worker.running += 1;
            self.queue.pop_front();
            self.waits.push((self.now - arrived) as f64 / 1000.0);
            let takes = self.start(number);
            self.after(takes, Event::Finish(number));
        }
    }

    /// Returns how many milliseconds a task takes that begins now.
    fn start(&mut self, number: usize) -> u64 {
        let varied = 0.5 + self.random.fraction();
        let takes = match self.world.task {
            Task::Waits { seconds } => seconds * varied * 1000.0,
            Task::Computes { seconds, cores } => {
                let ready = self.workers.iter().filter(|worker| Self::takes_tasks(worker)).count();
                let worker = &mut self.workers[number];
                let cpu = seconds * varied * 1000.0;
                let now = self.now as f64;
                worker.assigned += cpu;
                worker.free_at = worker.free_at.max(now) + cpu * (ready as f64 / cores).max(1.0);
                worker.free_at - now
            }
        };
        (takes as u64).max(1)
    }

    fn sample(&mut self) {
        let oldest = self.queue.front().map_or(0, |arrived| self.now - arrived);
        let oldest = Duration::from_millis(oldest);
        let signals = self.signals(oldest);
        let decision = self.scaler.decide(Duration::from_millis(self.now), &signals);
        self.seconds.push(Second { decision, ready: signals.ready, oldest });
        self.scale(decision.target);
        self.after(1000, Event::Sample);
    }

    fn signals(&mut self, oldest: Duration) -> Signals {
        let before = self.seconds.len().checked_sub(self.world.lag.max(1));
        let lagging = match self.world.lag {
            0 => oldest,
            _ => before.map_or(Duration::ZERO, |at| self.seconds[at].oldest),
        };
        let is_missing = self.random.fraction() < self.world.missing;
        let waits = std::mem::take(&mut self.waits);
        let mean = waits.iter().sum::<f64>() / waits.len() as f64;
        let is_known = self.world.is_latency_known && !waits.is_empty();
        let latency = is_known.then(|| Duration::from_secs_f64(mean * self.error()));
        let backlog = (!is_missing).then(|| lagging.mul_f64(self.error()));
        let cpu = self.cpu();
        let ready: Vec<_> =
            self.workers.iter().filter(|worker| Self::takes_tasks(worker)).collect();
        let total = self.world.slots * ready.len() as u32;
        let used: u32 = ready.iter().map(|worker| worker.running).sum();
        let ready = ready.len();
        let used = ((f64::from(used) * self.error()).round() as u32).min(total);
        Signals {
            ready,
            backlog,
            latency,
            slots: Some(Slots { used, total }),
            cpu: Some((cpu * self.error()).min(1.0)),
            cores: match self.world.task {
                Task::Waits { .. } => None,
                Task::Computes { cores, .. } => Some(cores),
            },
            memory: None,
        }
    }

    fn error(&mut self) -> f64 {
        1.0 + self.world.noise * (2.0 * self.random.fraction() - 1.0)
    }

    /// The cores that a ready worker has used since the last sample, as the mean.
    fn cpu(&mut self) -> f64 {
        let now = self.now as f64;
        let (mut sum, mut ready) = (0.0, 0.0);
        for worker in &mut self.workers {
            let used = worker.assigned - (worker.free_at - now).max(0.0).min(worker.assigned);
            if Self::takes_tasks(worker) {
                sum += (used - worker.used).max(0.0) / 1000.0;
                ready += 1.0;
            }
            worker.used = used;
        }
        if ready > 0.0 { sum / ready } else { 0.0 }
    }

    /// Starts workers, or has the newest ones drain.
    fn scale(&mut self, target: usize) {
        let mut wanted: Vec<_> =
            (0..self.workers.len()).filter(|number| !self.workers[*number].is_draining).collect();
        for _ in wanted.len()..target {
            self.workers.push(Worker::default());
            let takes = 1000 + (1000.0 * self.random.fraction()) as u64;
            self.after(takes, Event::Ready(self.workers.len() - 1));
        }
        for number in wanted.split_off(target.min(wanted.len())) {
            self.workers[number].is_draining = true;
        }
    }
}

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 up to, and without, 1.
    fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn exponential(&mut self) -> f64 {
        -(1.0 - self.fraction()).ln()
    }
}
