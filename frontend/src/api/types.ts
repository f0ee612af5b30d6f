/** The generated schemas under the names the pages use. */
import type { components, paths } from "@/api/schema.gen";

type Schemas = components["schemas"];

export interface ListOf<T> {
  object: "list";
  data: T[];
  has_more: boolean;
  first_id: string | null;
  last_id: string | null;
}

export type Session = Schemas["SessionBody"];
export type SignIn = Schemas["SignInBody"];
export type SignInOptions = Schemas["OptionsBody"];
export type Setup = Schemas["SetupBody"];
export type Profile = Schemas["ProfileBody"];
export type BrowserSession = Schemas["BrowserSessionBody"];
export type TotpEnrolment = Schemas["TotpEnrolmentBody"];
export type ResetLink = Schemas["ResetLinkBody"];
export type RecoveryCodes = Schemas["RecoveryCodesBody"];
export type Permission = Schemas["Permission"];
export type Role = Schemas["Role"];

export type Message = Schemas["Message"];
export type Problem = Schemas["Problem"];
export type Finding = Schemas["FindingBody"];
export type Bar = Schemas["Share"];
export type Mapping = Schemas["Mapping"];
export type Inspection = Schemas["Inspection"];
export type ColumnRole = Schemas["ColumnRole"];
export type FilePreviewBody = Schemas["FilePreviewBody"];
export type UploadedFile = Schemas["FileBody"];
export type UploadInParts = Schemas["UploadBody"];
export type UploadPart = Schemas["UploadPartBody"];
export type FileImport = Schemas["FileImportBody"];
export type ImportFile = Schemas["ImportFileBody"];
export type Dataset = Schemas["DatasetBody"];
export type DatasetVersion = Schemas["DatasetVersionBody"];
export type PastVersion = Schemas["PastVersionBody"];
export type VersionDiff = Schemas["DiffBody"];
export type ScalingEstimate = Schemas["ScalingEstimateBody"];
export type Erasure = Schemas["ErasureBody"];
export type ModelExport = Schemas["ModelExportBody"];
export type ModelExportChoice = Schemas["ModelExportChoiceBody"];
export type ModelImport = Schemas["ModelImportBody"];
export type BringModel = Schemas["NewModelImport"];
export type ExportFormat = Schemas["ModelExportFormat"];
export type ScalingStudies = Schemas["ScalingStudyListBody"];
export type ScalingStudy = Schemas["ScalingStudyBody"];
export type Learner = Schemas["LearnerBody"];
export type Row = Schemas["RowBody"];
export type RowList = Schemas["RowListBody"];
export type RowFilter = Schemas["RowFilter"];
export type RowOrder = Schemas["RowOrder"];
export type RowPlace = Schemas["RowPlaceBody"];
export type RowNumbers = Schemas["RowNumbersBody"];
export type RowTags = Schemas["RowTagsBody"];
export type RowLineage = Schemas["RowLineageBody"];
export type DatasetDraft = Schemas["DraftBody"];
export type RowChange = DatasetDraft["changes"][number]["change"];
export type RowKind = Schemas["RowKind"];
/** What a row holds, of whatever kind: in a preview and in a list alike. */
export type RowContent = Pick<Row, "messages"> & Partial<Pick<Row, "tools" | "chosen" | "rejected" | "text">>;
export type Sample = Schemas["SampleBody"];

export type Recipe = Schemas["Recipe"];
export type Estimate = Schemas["RecipeEstimate"];
export type EstimateReply =
  paths["/v1/fine_tuning/estimates"]["post"]["responses"][200]["content"]["application/json"];
export type Rehearsal = Schemas["DryRun"];
export type Leakage = Schemas["LeakageBody"];
export type CreateRun = Schemas["CreateJobBody"];
export type MethodType = Schemas["MethodType"];
export type AdapterType = Schemas["AdapterType"];
export type Run = Schemas["FineTuningJob"];
export type RunFailure = Schemas["FailureBody"];
/** What has a default may be left out; the generated types ask for it. */
export type CloneRun = Partial<Schemas["CloneJobBody"]>;
export type RunChanges = Partial<Schemas["PatchJobBody"]>;
export type RunStatus = Run["status"];
export type RunEvent = Schemas["FineTuningEvent"];

/** A row of the metrics list, whose columns the wire leaves open. */
export interface Metric {
  step: number;
  total_steps?: number | null;
  train_loss?: number | null;
  valid_loss?: number | null;
  full_valid_loss?: number | null;
}

export interface MetricsReply {
  data: Metric[];
  num_steps: number;
  is_downsampled: boolean;
}

export type AdminQueue = Schemas["QueueBody"];
export type QueueShare = AdminQueue["workspaces"][number];
export type QueueName = Schemas["QueueName"];
export type AdminWorker = Schemas["WorkerBody"];
export type ModelTraffic = Schemas["ModelTrafficBody"];
export type ModelServer = Schemas["ModelServerBody"];
export type ModelServers = Schemas["ModelServerListBody"];
export type AdminJob = Schemas["AdminJobBody"];
export type AdminJobDetails = Schemas["AdminJobDetailBody"];
export type JobState = AdminJob["state"];
export type Attempt = Schemas["AttemptBody"];
export type LogChunk = Schemas["LogBody"];
export type WorkerToken = Schemas["WorkerTokenBody"];
export type MadeWorkerToken = Schemas["MadeWorkerTokenBody"];

export type Model = Schemas["ModelBody"];
export type Alias = Schemas["AliasView"];
export type Release = Schemas["ReleaseView"];
export type AliasPlan = Schemas["PlanBody"];
export type PromptProfile = Schemas["ProfileView"];
export type ShadowAnswer = Schemas["ShadowAnswerView"];
export type Share = Schemas["CheckpointPermissionBody"];
export type KeptAnswer = Schemas["KeptCompletion"];
export type KeptMessage = Schemas["KeptMessage"];
export type RequestLog = Schemas["RequestLogBody"];
export type RequestLogChange = Schemas["RequestLogChange"];
export type Preference = Schemas["PreferenceBody"];
export type NewVote = Schemas["NewPreferenceBody"];
export type Verdict = Preference["verdict"];
export type Duel = Schemas["DuelBody"];
export type Voice = Schemas["VoiceBody"];
export type ApiKey = Schemas["ApiKeyBody"];
export type CreatedApiKey = Schemas["MadeApiKeyBody"];
export type NewApiKey = Partial<Schemas["NewApiKeyBody"]> & { name: string };
export type Member = Schemas["MemberBody"];
export type Webhook = Schemas["WebhookEndpointBody"];
export type MadeWebhook = Schemas["WebhookEndpointWithSecretBody"];
export type WebhookEvent = Schemas["EventType"];
export type WebhookDelivery = Schemas["WebhookDeliveryBody"];
export type WebhookTry = Schemas["WebhookAttemptBody"];
export type WebhookTestResult = Schemas["WebhookTestResultBody"];
export type Invitation = Schemas["InvitationBody"];
export type SentInvitation = Schemas["SentInvitationBody"];
export type Offer = Schemas["OfferBody"];
export type ServiceAccount = Schemas["ServiceAccountBody"];
export type Workspace = Schemas["WorkspaceDetailBody"];
export type AdminWorkspace = Schemas["AdminWorkspaceBody"];
export type AuditEvent = Schemas["AuditEventBody"];
export type AuditChain = Schemas["AuditChainBody"];
export type LedgerEntry = Schemas["LedgerEntryBody"];
export type UsageSummary = Schemas["UsageSummaryBody"];
export type Storage = Schemas["StorageBody"];
export type Price = Schemas["PriceBody"];
