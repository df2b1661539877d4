"""The lab of chapter 7: the path walk in the learner's own hand."""
