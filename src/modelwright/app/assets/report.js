// The rehearsal report: draws the parts that Python left to the browser. Runs once; fetches nothing.

const report = DATA.report;
const reportJournal = journal(document.getElementById("journal-list"));
reportJournal.update(report.decisions);
timeline(document.getElementById("chart"))({
  metric: report.metric,
  series: report.series,
  decisions: report.decisions,
  releases: report.releases,
  from: report.period.from,
  to: report.period.to,
  open: reportJournal.open,
});
releasesTable(document.getElementById("releases-table"), report.releases, report.metric);
heatmap(document.getElementById("drift-map"), report.drift);
