"""Continued pre-training: next-token cross-entropy on plain text.

    loss = 1/N * sum over tokens t of  -log softmax(W_head h_{t-1})[x_t]

with the sum over all N tokens of the effective batch that have one before them in their piece of text, the end of a
text among them. This is the supervised loss where every weight is 1, and the rows of a text have just such weights, so
there is nothing to compute differently. exp(loss) is the perplexity.
"""

from worker.training.objectives.sft import Sft

ContinuedPretraining = Sft
