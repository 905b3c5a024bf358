// Package load opens a capture and gives its rows in time order.
//
// A capture is what a question is asked of: a store, a bundle, a single segment or a
// folder of snapshots. Its segments are numbered from 0 in the order of their names;
// a RowID is that number and the row's number in the segment, and is how an answer
// names its evidence. Whatever in the capture could not be read is a finding, listed
// beside the rows and never in place of them.
package load
