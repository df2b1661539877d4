"""The lab of chapter 3: extent trees in the learner's own hand."""
