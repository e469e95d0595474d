//! What a printer remembers, with or without power.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// Jobs that a printer remembers.
pub const JOBS_MAX: usize = 32;

/// A job as the printer remembers it: its state is the letter of the protocol.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// 32 hexadecimal digits.
    pub id: String,
    /// `O`, `C`, `E`, `T`, `R`, or `S` and the letter of the cause.
    pub state: String,
    /// Count of prints at the time.
    pub count: u32,
}

/// What keeps the mechanism from printing until a person has been there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stops {
    /// Paper jammed.
    pub jammed: bool,
    /// Cutter blocked.
    pub cutter: bool,
    /// Roll empty.
    pub paper_out: bool,
}

impl Stops {
    /// Says whether the mechanism stands.
    pub fn any(&self) -> bool {
        self.jammed || self.cutter || self.paper_out
    }
}

/// The books of a printer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Books {
    /// Papers cut since the printer was made.
    pub prints: u32,
    /// Papers spoiled.
    pub spoiled: u32,
    /// Papers pulled back.
    pub retracted: u32,
    /// The last jobs, the newest first.
    pub jobs: VecDeque<Job>,
    /// What is wrong with the mechanism.
    pub stops: Stops,
    /// Number of the paper that lies in the exit.
    pub exit: Option<u32>,
    /// Commands that the printer did not know.
    #[serde(default)]
    pub unknown_commands: u32,
}

impl Books {
    /// Notes that a job begins; one that was open is spoiled by it.
    pub fn begin(&mut self, id: &str) {
        self.spoil_open('x');
        let job = Job { id: id.to_owned(), state: "O".to_owned(), count: self.prints };
        self.jobs.push_front(job);
        self.jobs.truncate(JOBS_MAX);
    }

    /// Notes that the open job, if any, will not be printed; says whether there was one.
    pub fn spoil_open(&mut self, cause: char) -> bool {
        match self.jobs.front_mut() {
            Some(job) if job.state == "O" => {
                job.state = format!("S{cause}");
                self.spoiled += 1;
                true
            }
            _ => false,
        }
    }

    /// Notes a cut: counts it and closes the open job. Gives number and job of the paper.
    pub fn cut(&mut self) -> (u32, Option<String>) {
        self.prints += 1;
        let count = self.prints;
        let job = self.jobs.front_mut().filter(|job| job.state == "O").map(|job| {
            job.state = "C".to_owned();
            job.count = count;
            job.id.clone()
        });
        (count, job)
    }

    /// Notes what became of the paper with a number.
    pub fn fate(&mut self, count: u32, state: &str) {
        // Open and spoiled jobs bear the count of the paper before them.
        let printed = |job: &&mut Job| matches!(job.state.as_str(), "C" | "E");
        let job = self.jobs.iter_mut().filter(printed).find(|job| job.count == count);
        if let Some(job) = job {
            job.state = state.to_owned();
        }
    }

    /// Looks into the exit as the power comes back: a ticket that was cut and not seen yet lies
    /// there. Says whether there was one.
    pub fn see_exit(&mut self) -> bool {
        let number = self.prints;
        let lies_there = self.exit.is_none()
            && self.jobs.iter().any(|job| job.state == "C" && job.count == number);
        if lies_there {
            self.exit = Some(number);
            self.fate(number, "E");
        }
        lies_there
    }

    /// The answer to DLE EOT 74.
    pub fn memory(&self) -> String {
        let mut text = format!("J{}", self.prints);
        for job in &self.jobs {
            text.push_str(&format!(";{},{},{}", job.id, job.state, job.count));
        }
        let check = text.bytes().fold(0, |sum, byte| sum ^ byte);
        format!("{text}*{check:02X}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory(books: &Books) -> String {
        books.memory().split('*').next().unwrap().to_owned()
    }

    #[test]
    fn the_memory_ends_with_its_check() {
        assert_eq!(Books::default().memory(), "J0*7A");
    }

    #[test]
    fn a_job_goes_its_way_through_the_books() {
        let mut books = Books::default();
        assert_eq!(memory(&books), "J0");
        books.begin("aa");
        assert_eq!(memory(&books), "J0;aa,O,0");
        assert_eq!(books.cut(), (1, Some("aa".to_owned())));
        books.fate(1, "E");
        books.begin("bb");
        books.fate(1, "E");
        assert_eq!(memory(&books), "J1;bb,O,1;aa,E,1");
        assert!(books.spoil_open('j') && !books.spoil_open('j'));
        assert_eq!(memory(&books), "J1;bb,Sj,1;aa,E,1");
        books.fate(1, "T");
        assert_eq!(memory(&books), "J1;bb,Sj,1;aa,T,1");
        assert_eq!(books.cut(), (2, None), "a cut without a job is counted too");
        books.begin("ee");
        assert_eq!((books.cut().0, books.exit), (3, None));
        assert!(books.see_exit() && !books.see_exit());
        assert_eq!((books.exit, books.jobs[0].state.as_str()), (Some(3), "E"));
        books.begin("cc");
        books.begin("dd");
        assert_eq!(books.spoiled, 2);
        for n in 0..JOBS_MAX * 2 {
            books.begin(&n.to_string());
        }
        assert_eq!(books.jobs.len(), JOBS_MAX);
    }
}
