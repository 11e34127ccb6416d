// The rehearsal report: draws the parts that Python left to the browser. Runs once; fetches nothing.

const report = DATA.report;
const reportJournal = journal(document.getElementById("journal-list"));
reportJournal.update(report.decisions);
timeline(document.getElementById("chart"))({
  metric: report.metric,
  series: report.series,
  decisions: report.decisions,
  releases: report.releases,
  estimates: report.metric.name === "accuracy" ? report.estimates : [],
  from: report.period.from,
  to: report.period.to,
  open: reportJournal.open,
});
document.getElementById("lookback-note").textContent = `For somebody who was away from ${day(when(report.digest.since))} on.`;
lookback(document.getElementById("lookback-body"), report.digest, report.metric, reportJournal.open);
releasesTable(document.getElementById("releases-table"), report.releases, report.metric);
alertsSent(document.getElementById("alerts"), report.alerts);
driftFindings(document.getElementById("drift-findings"), report.drift, { releases: true });
slicesTable(document.getElementById("slices-table"), report.slices);
qualityTable(document.getElementById("quality-table"), report.quality);
heatmap(document.getElementById("drift-map"), report.drift);
