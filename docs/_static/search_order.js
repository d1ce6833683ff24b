// The order of search results: guides first, then evidence and reference, then single names; titles before text.
const SEARCH_LATER = /^(reference\/|benchmarks$|changelog$|contributing$|new-user-run$)/;
var Scorer = {
  score: ([page, , , , score, , kind]) =>
    score - (kind === "object" ? 30 : 0) - (SEARCH_LATER.test(page) ? 8 : 0),
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  title: 25,
  partialTitle: 12,
  term: 5,
  partialTerm: 2,
};
