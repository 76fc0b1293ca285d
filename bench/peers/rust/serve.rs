// SPDX-License-Identifier: MIT
//
// The frame of the programs in Rust, and what they measure with; bench.h says how they are asked.
use std::io::BufRead;
use std::time::Instant;

/// What a question's figures are measured in, and a run, which returns them.
pub struct Question {
    pub name: &'static str,
    pub units: &'static str,
    pub run: Box<dyn Fn() -> Vec<f64>>,
}

pub fn require(holds: bool, what: &str) {
    if !holds {
        eprintln!("wrong result: {what}");
        std::process::exit(1);
    }
}

/// A size: as the question says, or a small one when BENCH_QUICK is set, for checks.
pub fn pick(full: usize, quick: usize) -> usize {
    if std::env::var_os("BENCH_QUICK").is_some() {
        quick
    } else {
        full
    }
}

/// BENCH_THREADS, how many threads the pool is to have.
pub fn threads() -> usize {
    std::env::var("BENCH_THREADS").ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}

/// The usual question: nanoseconds of wall-clock time for each of the units of a run.
pub fn timed(name: &'static str, unit: &'static str, units: usize, run: impl Fn() + 'static) -> Question {
    let run = Box::new(move || {
        let begin = Instant::now();
        run();
        vec![begin.elapsed().as_nanos() as f64 / units as f64]
    });
    Question { name, units: unit, run }
}

extern "C" {
    fn clock_gettime(clock: i32, time: *mut [i64; 2]) -> i32;
}

/// CPU time of the whole process, in nanoseconds.
pub fn cpu_time() -> f64 {
    const PROCESS_CPU: i32 = 2;
    let mut time = [0; 2];
    require(unsafe { clock_gettime(PROCESS_CPU, &mut time) } == 0, "clock_gettime");
    time[0] as f64 * 1e9 + time[1] as f64
}

/// Without an argument lists the questions; with one, answers it.
pub fn serve(version: &str, questions: Vec<Question>) {
    let wanted = match std::env::args().nth(1) {
        Some(name) => name,
        None => return questions.iter().for_each(|question| println!("{}", question.name)),
    };
    let question = questions.iter().find(|question| question.name == wanted);
    require(question.is_some(), "no such question");
    let question = question.unwrap();
    println!("{version}\t{}", question.units);
    for _ in std::io::stdin().lock().lines() {
        let figures: Vec<String> = (question.run)().iter().map(|figure| format!("{figure:.3}")).collect();
        println!("{}", figures.join("\t"));
    }
}
